// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// serving is one stretch of time in which the API server serves a type, with the
// client-go informer that lives through it.
type serving struct {
	api      metav1.APIResource
	informer cache.SharedIndexInformer
	source   *source
	// notFound holds at most one word of a list or watch that was answered with 404.
	notFound chan struct{}
}

func (r *resource) newServing(ctx context.Context, api metav1.APIResource) (*serving, error) {
	sv := &serving{api: api, notFound: make(chan struct{}, 1)}
	namespace := r.namespaceFor(api)
	sv.source = &source{
		list: func(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
			return r.client.List(ctx, r.gvr, namespace, opts)
		},
		watch: func(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
			return r.client.Watch(ctx, r.gvr, namespace, opts)
		},
		report: func(verb string, err error) { r.requestDone(ctx, sv, verb, err) },
	}
	packer := newPacker(r.gvr.GroupVersion().WithKind(api.Kind), r.options.Transform)
	informer, err := newInformer(sv.source, r.client, &Object{}, typeName(r.gvr), packer.pack, indexers())
	if err != nil {
		return nil, fmt.Errorf("make the informer of %s: %w", typeName(r.gvr), err)
	}
	sv.informer = informer
	return sv, nil
}

// namespaceFor never is that of a cluster-scoped type: a request within a namespace
// would be answered with 404.
func (r *resource) namespaceFor(api metav1.APIResource) string {
	if api.Namespaced {
		return r.options.Namespace
	}
	return metav1.NamespaceAll
}

// requestDone notes the outcome of a list or watch.
func (r *resource) requestDone(ctx context.Context, sv *serving, verb string, err error) {
	r.count(verb, err)
	if err == nil {
		r.note(ctx, sv, nil, always)
		return
	}
	wrapped := fmt.Errorf("%s %s: %w", verb, typeName(r.gvr), err)
	if apierrors.IsNotFound(err) {
		r.noteNotFound(sv, wrapped)
		return
	}
	r.note(ctx, sv, wrapped, always)
}

// sameAs reports whether the informer suits the type as it is served now.
func (sv *serving) sameAs(api metav1.APIResource) bool {
	return sv.api.Kind == api.Kind && sv.api.Namespaced == api.Namespaced
}
