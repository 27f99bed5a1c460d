// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
)

const removalPoll = 100 * time.Millisecond

// Uninstall removes from the cluster what New and InstallCRDs have put there, the objects of the CRDs and all else in the
// namespace with it, and waits until it is gone. It is for clusters that live on; one that is thrown away needs none of it.
// The context limits the wait.
func (f *Fleet) Uninstall(ctx context.Context) error {
	mine := metav1.ListOptions{LabelSelector: runLabel + "=" + f.run}
	background := metav1.DeletePropagationBackground
	types := []schema.GroupVersionResource{
		crdResource,
		{Version: "v1", Resource: "namespaces"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
	}
	var errs []error
	for _, gvr := range types {
		// One by one: a namespace knows no deletion of collections.
		list, err := f.dynamic.Resource(gvr).List(ctx, mine)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, object := range list.Items {
			err := f.dynamic.Resource(gvr).Delete(ctx, object.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
			errs = append(errs, ignoreNotFound(err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("uninstall group %s: %w", f.Group(), err)
	}
	for _, gvr := range types {
		if err := f.awaitNone(ctx, gvr, mine); err != nil {
			return fmt.Errorf("uninstall group %s: %w", f.Group(), err)
		}
	}
	return nil
}

func (f *Fleet) awaitNone(ctx context.Context, gvr schema.GroupVersionResource, mine metav1.ListOptions) error {
	left := ""
	err := wait.PollUntilContextCancel(ctx, removalPoll, true, func(ctx context.Context) (bool, error) {
		list, err := f.dynamic.Resource(gvr).List(ctx, mine)
		if err != nil || len(list.Items) == 0 {
			return err == nil, err
		}
		left = list.Items[0].GetName()
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("wait until all %s are deleted (last seen: %q): %w", gvr.Resource, left, err)
	}
	return nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
