// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionregistrationclient "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// requestTimeout bounds what a command asks the API server before it waits for
// anything.
const requestTimeout = 15 * time.Second

// target says which group in which cluster a command is about.
type target struct {
	cluster

	group string
}

func (t *target) addFlags(cmd *cobra.Command) {
	t.cluster.addFlags(cmd)
	cmd.Flags().StringVarP(&t.group, "group", "g", "", "the group (default: the only one in the namespace)")
}

// group is the group that a command is about.
type group struct {
	name      string
	namespace string
	leases    coordinationclient.LeaseInterface
	admission admissionregistrationclient.AdmissionregistrationV1Interface
}

// open finds the group, and returns it as it is now.
func (t *target) open(ctx context.Context) (*group, snapshot, error) {
	rc, namespace, err := t.resolve()
	if err != nil {
		return nil, snapshot{}, err
	}
	client, err := coordinationclient.NewForConfig(rc)
	if err != nil {
		return nil, snapshot{}, fmt.Errorf("client for Leases: %w", err)
	}
	admission, err := admissionregistrationclient.NewForConfig(rc)
	if err != nil {
		return nil, snapshot{}, fmt.Errorf("client for admission policies: %w", err)
	}
	g, now, err := openGroup(ctx, client.Leases(namespace), namespace, t.group)
	if err != nil {
		return nil, snapshot{}, err
	}
	g.admission = admission
	return g, now, nil
}

func openGroup(ctx context.Context, leases coordinationclient.LeaseInterface, namespace, asked string) (*group, snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	selector := lease.LabelGroup
	if asked != "" {
		selector += "=" + asked
	}
	list, err := leases.List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, snapshot{}, fmt.Errorf("listing the Leases of namespace %s: %w", namespace, err)
	}
	name, err := theGroup(list.Items, asked, namespace)
	if err != nil {
		return nil, snapshot{}, err
	}
	g := &group{name: name, namespace: namespace, leases: leases}
	return g, g.snapshot(list.Items, time.Now()), nil
}

// theGroup is the one that was asked for, or the only one there is.
func theGroup(leases []coordinationv1.Lease, asked, namespace string) (string, error) {
	found := map[string]bool{}
	for _, l := range leases {
		found[l.Labels[lease.LabelGroup]] = true
	}
	names := slices.Sorted(maps.Keys(found))
	switch {
	case len(names) == 0 && asked != "":
		return "", fmt.Errorf("there is no group %q in namespace %s: name another with --group or --namespace", asked, namespace)
	case len(names) == 0:
		return "", fmt.Errorf("there is no group in namespace %s: name another with --namespace", namespace)
	case len(names) > 1:
		return "", fmt.Errorf("there are several groups in namespace %s: choose with --group: %s", namespace, strings.Join(names, ", "))
	}
	return names[0], nil
}

// snapshot is the group at some moment.
type snapshot struct {
	status.Status

	// sealed are the shards of earlier layouts, which the status leaves out.
	sealed []string
}

func (g *group) snapshot(leases []coordinationv1.Lease, now time.Time) snapshot {
	s := snapshot{Status: status.Of(g.name, g.namespace, leases, now)}
	for i := range leases {
		l := &leases[i]
		if l.Labels[lease.LabelKind] == lease.KindShard && lease.DecodeShard(l).Sealed > 0 {
			s.sealed = append(s.sealed, strings.TrimPrefix(l.Name, g.name+"."))
		}
	}
	return s
}

// shard returns the shard of this name, and whether there is one.
func (s snapshot) shard(name string) (status.Shard, bool) {
	i := slices.IndexFunc(s.Shards, func(sh status.Shard) bool { return sh.Name == name })
	if i < 0 {
		return status.Shard{}, false
	}
	return s.Shards[i], true
}

// member returns the member with this Lease, and whether there is one.
func (s snapshot) member(leaseName string) (status.Member, bool) {
	i := slices.IndexFunc(s.Members, func(m status.Member) bool { return m.Lease == leaseName })
	if i < 0 {
		return status.Member{}, false
	}
	return s.Members[i], true
}
