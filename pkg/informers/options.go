// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/metadata"
)

const (
	// defaultMaxPollInterval lets a type be picked up about two seconds after it
	// appears where CRDs cannot be watched. It is one small request per
	// group-version that is missing, answered by the API server from memory.
	defaultMaxPollInterval = 2 * time.Second
	minMaxPollInterval     = 100 * time.Millisecond
)

// Options of a [Set]. The zero value is usable.
type Options struct {
	// Namespace restricts namespaced types to the objects of one namespace.
	// Default: all namespaces. Cluster-scoped types are not affected.
	Namespace string

	// Transform changes an object in place before it is cached and before any
	// handler sees it, after managedFields were dropped: to save memory. It has
	// to keep apiVersion, kind, name, namespace, uid and resourceVersion, and what
	// labels and ownerReferences are needed for. What it leaves has to be
	// encodable as JSON, else the object is kept as it was. Every object that comes
	// is decoded and encoded for it, some 100 microseconds for 4 KB.
	// Default: no further change.
	Transform func(*unstructured.Unstructured)

	// Metadata is used to watch the metadata of CustomResourceDefinitions while
	// a watched type is missing, so that it is picked up at once. It needs the
	// verbs list and watch on customresourcedefinitions.apiextensions.k8s.io;
	// without them discovery is polled as if Metadata were nil.
	// Default: nil, discovery is polled.
	Metadata metadata.Interface

	// MaxPollInterval is how long discovery is left alone at most, plus a jitter
	// of up to a quarter, about a group-version of which a type is missing,
	// while CustomResourceDefinitions are not being watched. While they are it is
	// 30 s, or MaxPollInterval if that is longer. Default 2 s, least 100 ms.
	// Hazard: every replica polls; a short interval with many missing
	// group-versions is load on the API server.
	MaxPollInterval time.Duration
}

func (o Options) withDefaults() (Options, error) {
	if o.MaxPollInterval == 0 {
		o.MaxPollInterval = defaultMaxPollInterval
	}
	if o.MaxPollInterval < minMaxPollInterval {
		return o, fmt.Errorf("informers: Options.MaxPollInterval: %s is not allowed: use %s or more", o.MaxPollInterval, minMaxPollInterval)
	}
	return o, nil
}
