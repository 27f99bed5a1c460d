// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

// A Lease that is closed to the session that it still names lets nobody write, until somebody else holds it.
func TestFenceRefusesThoseToWhomALeaseIsClosed(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 2)
	widgets := f.scalable(t)
	d := division{family: widgets.GroupResource(), kind: widgets.kind, buckets: 1}
	f.hold(t, d)
	f.fence(t, fence.Type{Resource: d.family})
	o, name := f.made(t, widgets.GroupVersionResource, widgets.object("o")), lease.ShardLeaseName(f.group, d.family.String())
	old, next := f.objects(f.pods[0], widgets), f.objects(f.pods[1], widgets)
	awaitRefused(t, func() error { return touch(t.Context(), next, o.GetName()) })
	awaitAllowed(t, func() error { return touch(t.Context(), old, o.GetName()) })
	f.annotate(t, name, lease.AnnotationClosed, identityOf(f.pods[0]))
	awaitRefused(t, func() error { return touch(t.Context(), old, o.GetName()) })
	checkRefused(t, "another Pod", touch(t.Context(), next, o.GetName()), true)
	f.giveTo(t, name, f.pods[1])
	awaitAllowed(t, func() error { return touch(t.Context(), next, o.GetName()) })
	checkRefused(t, "the old holder", touch(t.Context(), old, o.GetName()), true)
}

// Of custom resources nothing is written as long as the group has no Lease for them. Built-in types stay open to all others.
func TestFenceWithoutAnyLease(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 1)
	widgets := f.scalable(t)
	o := f.made(t, widgets.GroupVersionResource, widgets.object("o"))
	f.record(t)
	f.fence(t, fence.Type{Resource: widgets.GroupResource(), Attachments: []schema.GroupResource{{Resource: "configmaps"}}})
	eventually(t, "writes to widgets are refused", func() error {
		if touch(t.Context(), f.objects(f.pods[0], widgets), o.GetName()) == nil {
			return errors.New("a replica may write")
		}
		return nil
	})
	child := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "child", Annotations: map[string]string{
		fence.AnnotationOwner: widgets.GroupResource().String() + "/" + string(o.GetUID()) + "/" + o.GetNamespace() + "/o",
	}}}
	awaitRefused(t, func() error {
		_, err := kubernetes.NewForConfigOrDie(f.pods[0].Config).CoreV1().ConfigMaps(f.namespace).Create(t.Context(), child, metav1.CreateOptions{DryRun: dryRun})
		return err
	})
	if _, err := f.kube.CoreV1().ConfigMaps(f.namespace).Create(t.Context(), child, metav1.CreateOptions{DryRun: dryRun}); err != nil {
		t.Errorf("an administrator cannot write a ConfigMap: %v", err)
	}
}
