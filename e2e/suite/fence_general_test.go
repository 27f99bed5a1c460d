// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"maps"
	"slices"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

// guarded installs the guard, for the group's namespace alone: other tests delete Leases by hand.
func (f *fenced) guarded(t *testing.T) {
	t.Helper()
	f.sentinel(t)
	general := fence.General()
	own := &fence.Fence{Policies: general.Policies[1:], Bindings: general.Bindings[1:]}
	own.Policies[0].Name += "." + f.namespace
	own.Bindings[0].Name = own.Policies[0].Name
	own.Bindings[0].Spec.PolicyName = own.Policies[0].Name
	everything := metav1.LabelSelector{}
	own.Bindings[0].Spec.MatchResources = own.Policies[0].Spec.MatchConstraints.DeepCopy()
	own.Bindings[0].Spec.MatchResources.ResourceRules = nil
	own.Bindings[0].Spec.MatchResources.ObjectSelector = &everything
	own.Bindings[0].Spec.MatchResources.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": f.namespace}}
	f.apply(t, own)
}

// Shard Leases stay, and stay labelled, whoever wants it otherwise.
func TestFenceGuardsLeases(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 1)
	f.guarded(t)
	admin := f.kube
	replica := kubernetes.NewForConfigOrDie(f.pods[0].Config)
	unbound := kubernetes.NewForConfigOrDie(f.unboundConfig(t))
	d := division{family: configMaps.GroupResource(), kind: "ConfigMap", buckets: 8, partition: lease.ByUID}
	made := func(i int, held bool, annotations ...string) *coordinationv1.Lease {
		l := f.leaseOf(d, d.all()[i], nil, annotations...)
		if held {
			l = f.leaseOf(d, d.all()[i], f.pods[0], annotations...)
		}
		if err := f.createLease(t.Context(), l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	remove := func(by kubernetes.Interface, l *coordinationv1.Lease) error {
		return by.CoordinationV1().Leases(f.namespace).Delete(t.Context(), l.Name, metav1.DeleteOptions{DryRun: dryRun})
	}
	held, free := made(0, true), made(1, false)
	sealed, coming := made(2, true, lease.AnnotationSealed, "3"), made(3, false, lease.AnnotationComing, "3")
	awaitRefused(t, func() error { return remove(admin, held) })
	for _, tc := range []struct {
		name  string
		by    kubernetes.Interface
		lease *coordinationv1.Lease
		may   bool
	}{
		{"an administrator deletes one that is held", admin, held, false},
		{"a replica deletes one that is held", replica, held, false},
		{"an administrator deletes one that nobody holds", admin, free, false},
		{"a token without Pod deletes one that nobody holds", unbound, free, false},
		{"a replica deletes one that nobody holds", replica, free, true},
		{"an administrator deletes one that is sealed", admin, sealed, true},
		{"a replica deletes one that is coming", replica, coming, true},
	} {
		checkRefused(t, tc.name, remove(tc.by, tc.lease), !tc.may)
	}
	patch := func(by kubernetes.Interface, patch string) error {
		_, err := by.CoordinationV1().Leases(f.namespace).Patch(t.Context(), held.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: dryRun})
		return err
	}
	for _, label := range []string{lease.LabelGroup, lease.LabelKind, lease.LabelFamily} {
		for _, value := range []string{"null", `"other"`} {
			for _, by := range []kubernetes.Interface{admin, replica} {
				checkRefused(t, "making label "+label+" "+value, patch(by, `{"metadata":{"labels":{"`+label+`":`+value+`}}}`), true)
			}
		}
	}
	for name, allowed := range map[string]string{
		"a pin":            `{"metadata":{"annotations":{"` + lease.AnnotationPinned + `":"a"}}}`,
		"a seal":           `{"metadata":{"annotations":{"` + lease.AnnotationSealed + `":"4"}},"spec":{"holderIdentity":""}}`,
		"a new holder":     `{"spec":{"holderIdentity":"` + identityOf(f.pods[0]) + `"}}`,
		"a label of yours": `{"metadata":{"labels":{"yours":"yes"}}}`,
	} {
		checkRefused(t, name, patch(replica, allowed), false)
	}
	f.checkOthersLeases(t)
	// The namespace controller deletes what nobody else may.
	f.deleteNamespace(t)
	f.awaitGone(t, coordinationv1.SchemeGroupVersion.WithResource("leases"), held.Name)
}

// Leases that are no shards are not the guard's business.
func (f *fenced) checkOthersLeases(t *testing.T) {
	t.Helper()
	for _, labels := range []map[string]string{nil, {lease.LabelGroup: f.group, lease.LabelKind: lease.KindMember}} {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{GenerateName: "other-", Labels: labels}}
		client := f.kube.CoordinationV1().Leases(f.namespace)
		l, err := client.Create(t.Context(), l, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		checkRefused(t, "deleting a Lease with labels "+strings.Join(slices.Collect(maps.Keys(labels)), ","), client.Delete(t.Context(), l.Name, metav1.DeleteOptions{}), false)
	}
}

// A group's fence may go and come back: the sentinel keeps the API server's informer for Leases going meanwhile. Without it every
// later policy would refuse all it matches (kubernetes#130887).
func TestFenceComesBack(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 2)
	d := division{family: configMaps.GroupResource(), kind: "ConfigMap", buckets: 1}
	f.hold(t, d)
	o := f.createAll(t, configMaps, lease.ScopeNamespaced, []string{"one"})[0]
	write := func(i int) func() error {
		return func() error { return touch(t.Context(), in(as(f.pods[i]), configMaps, f.namespace), o.GetName()) }
	}
	for range 2 {
		all, err := fence.New(f.options(fence.Type{Resource: d.family}))
		if err != nil {
			t.Fatal(err)
		}
		f.sentinel(t)
		f.apply(t, all)
		awaitRefused(t, write(1))
		checkRefused(t, "the holder", write(0)(), false)
		for _, p := range all.Policies {
			f.withdraw(t, p.Name)
		}
		awaitAllowed(t, write(1))
	}
}
