// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

// fenceInterval is how often a command that goes on reads what is installed of the
// fence in the API server: that changes once in a while, by hand.
const fenceInterval = 30 * time.Second

// unreadableFence is what those are told who may see Leases, but not the policies of a
// cluster.
const unreadableFence = "to see it, have the permission to list validatingadmissionpolicies and " +
	"validatingadmissionpolicybindings of admissionregistration.k8s.io, in a ClusterRole"

// serverFence returns what is installed of the fence in the API server, or that this
// may not be known. It is an error if there is no answer.
func (g *group) serverFence(ctx context.Context) (status.Installed, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var own, general fence.Fence
	lists, ctx := errgroup.WithContext(ctx)
	for _, part := range []struct {
		*fence.Fence
		labels labels.Set
	}{
		{&own, labels.Set{lease.LabelGroup: g.name, fence.LabelNamespace: g.namespace}},
		{&general, labels.Set{fence.LabelFence: fence.LabelFenceGeneral}},
	} {
		selected := metav1.ListOptions{LabelSelector: part.labels.String()}
		lists.Go(func() (err error) {
			part.Policies, err = g.policies(ctx, selected)
			return err
		})
		lists.Go(func() (err error) {
			part.Bindings, err = g.bindings(ctx, selected)
			return err
		})
	}
	switch err := lists.Wait(); {
	case apierrors.IsForbidden(err):
		return status.Uninspected(unreadableFence), nil
	case err != nil:
		return status.Installed{}, fmt.Errorf("reading the fence in the API server: %w", err)
	}
	return status.Inspect(&own, &general), nil
}

func (g *group) policies(ctx context.Context, o metav1.ListOptions) ([]*admissionregistrationv1.ValidatingAdmissionPolicy, error) {
	list, err := g.admission.ValidatingAdmissionPolicies().List(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("listing the admission policies: %w", err)
	}
	all := make([]*admissionregistrationv1.ValidatingAdmissionPolicy, len(list.Items))
	for i := range list.Items {
		all[i] = &list.Items[i]
	}
	return all, nil
}

func (g *group) bindings(ctx context.Context, o metav1.ListOptions) ([]*admissionregistrationv1.ValidatingAdmissionPolicyBinding, error) {
	list, err := g.admission.ValidatingAdmissionPolicyBindings().List(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("listing the bindings of admission policies: %w", err)
	}
	all := make([]*admissionregistrationv1.ValidatingAdmissionPolicyBinding, len(list.Items))
	for i := range list.Items {
		all[i] = &list.Items[i]
	}
	return all, nil
}

// installed is the fence in the API server, as far as it is known: who has Leases to
// show shows them without.
func (g *group) installed(ctx context.Context) status.Installed {
	found, err := g.serverFence(ctx)
	if err != nil {
		return status.Uninspected(err.Error())
	}
	return found
}

// followFenced is follow, with the fence in the API server.
func (g *group) followFenced(ctx context.Context, pace time.Duration, see func(view) (enough bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var latest atomic.Pointer[status.Installed]
	store := func(found status.Installed) { latest.Store(&found) }
	store(g.installed(ctx))
	var tasks errgroup.Group
	tasks.Go(func() error {
		for pause(ctx, fenceInterval) == nil {
			// While there is no answer, what was read last is still the best to say; that
			// the connection is lost is said anyway.
			if found, err := g.serverFence(ctx); err == nil {
				store(found)
			}
		}
		return nil
	})
	tasks.Go(func() error {
		defer cancel()
		return g.follow(ctx, pace, func(v view) (bool, error) {
			v.Fence = latest.Load().Judge(v.Status)
			return see(v)
		})
	})
	return tasks.Wait()
}
