// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/faults/workload"
	"github.com/shardctl/shardctl/pkg/fence"
)

// serviceAccount is that of a fleet's replicas.
const serviceAccount = "shardctl"

// installFence installs the fence in the API server, the general part if it is not there yet, and waits until every API server
// refuses the write of a Pod that holds nothing.
func (g *group) installFence(ctx context.Context) error {
	options := fence.Options{Group: g.name, Namespace: g.name, ServiceAccount: serviceAccount}
	for _, t := range g.types {
		options.Types = append(options.Types, fence.Type{
			Resource: t.GroupResource(), Attachments: []schema.GroupResource{workload.ConfigMaps.GroupResource()},
		})
	}
	own, err := fence.New(options)
	if err != nil {
		return err
	}
	if err := errors.Join(createFence(ctx, g.cp.Config(), fence.General()), createFence(ctx, g.cp.Config(), own)); err != nil {
		return fmt.Errorf("install the fence: %w", err)
	}
	stranger, err := g.cp.NewReplica(ctx, controlplane.ReplicaOptions{Namespace: g.name, Name: g.name + "-stranger", ServiceAccount: serviceAccount})
	if err != nil {
		return err
	}
	servers := []*rest.Config{g.cp.ConfigForToken(stranger.Token)}
	if g.kind.twoAPIServers {
		servers = append(servers, g.cp.ConfigForTokenAt(1, stranger.Token))
	}
	for _, server := range servers {
		if err := g.awaitRefusal(ctx, server); err != nil {
			return err
		}
	}
	return nil
}

func createFence(ctx context.Context, config *rest.Config, f *fence.Fence) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	admission := client.AdmissionregistrationV1()
	for _, policy := range f.Policies {
		_, err := admission.ValidatingAdmissionPolicies().Create(ctx, policy, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	for _, binding := range f.Bindings {
		_, err := admission.ValidatingAdmissionPolicyBindings().Create(ctx, binding, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// awaitRefusal tries a write to every type, until none is let through.
func (g *group) awaitRefusal(ctx context.Context, config *rest.Config) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, settlePoll, settleLimit, true, func(ctx context.Context) (bool, error) {
		for _, t := range g.types {
			_, last = client.Resource(t.GroupVersionResource).Namespace(g.name).Patch(ctx, "object-0", types.MergePatchType,
				[]byte(`{"metadata":{"annotations":{"try":"it"}}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			// Before the first replica there is no Lease: that is refused in the API server's own words.
			if last == nil || !strings.Contains(last.Error(), "ValidatingAdmissionPolicy") {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("the write of a Pod that holds nothing is not refused by the fence: %w; last answer: %w", err, last)
	}
	return nil
}
