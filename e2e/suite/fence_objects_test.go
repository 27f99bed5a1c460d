// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

// scalable makes the API server serve a type with all subresources there are.
func (c *cluster) scalable(t *testing.T) resourceType {
	t.Helper()
	r := c.resourceType("widgets")
	definition := r.definition()
	version := definition.Object["spec"].(map[string]any)["versions"].([]any)[0].(map[string]any)
	version["subresources"] = map[string]any{"status": map[string]any{}, "scale": map[string]any{
		"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size",
	}}
	if _, err := c.dynamic.Resource(crds).Create(t.Context(), definition, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, r.shard()+" is served", func() error {
		_, err := c.dynamic.Resource(r.GroupVersionResource).Namespace(c.namespace).List(t.Context(), metav1.ListOptions{Limit: 1})
		return err
	})
	return r
}

// object of a type, not sent yet.
func (r resourceType) object(name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"size": int64(0)}, "status": map[string]any{"size": int64(0)}}}
	o.SetGroupVersionKind(r.GroupVersion().WithKind(r.kind))
	o.SetName(name)
	return o
}

// made creates an object, by the administrator.
func (c *cluster) made(t *testing.T, gvr schema.GroupVersionResource, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	created, err := c.dynamic.Resource(gvr).Namespace(c.namespace).Create(t.Context(), o, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// Whatever way a write takes, it is judged.
func TestFenceCoversEveryWayToWrite(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 2)
	widgets := f.scalable(t)
	d := division{family: widgets.GroupResource(), kind: widgets.kind, buckets: 4, partition: lease.ByKey}
	f.hold(t, d)
	f.fence(t, fence.Type{Resource: d.family})
	probe := f.made(t, widgets.GroupVersionResource, widgets.object("probe"))
	awaitRefused(t, func() error {
		return touch(t.Context(), f.objects(f.newPod(t, "stranger"), widgets), probe.GetName())
	})
	for _, tc := range []struct {
		name  string
		write func(context.Context, dynamic.ResourceInterface, *unstructured.Unstructured) error
	}{
		{"update", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			o.SetFinalizers([]string{"suite.shardctl.dev/finalizer"})
			_, err := c.Update(ctx, o, metav1.UpdateOptions{DryRun: dryRun})
			return err
		}},
		{"merge patch", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			_, err := c.Patch(ctx, o.GetName(), types.MergePatchType, []byte(`{"spec":{"size":3}}`), metav1.PatchOptions{})
			return err
		}},
		{"JSON patch", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			_, err := c.Patch(ctx, o.GetName(), types.JSONPatchType, []byte(`[{"op":"add","path":"/spec/more","value":1}]`), metav1.PatchOptions{DryRun: dryRun})
			return err
		}},
		{"server-side apply", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			applied := widgets.object(o.GetName())
			unstructured.RemoveNestedField(applied.Object, "status")
			_, err := c.Apply(ctx, o.GetName(), applied, metav1.ApplyOptions{FieldManager: "suite", Force: true, DryRun: dryRun})
			return err
		}},
		{"server-side apply that creates", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			name := f.sameBucket(d, o)
			applied := widgets.object(name)
			unstructured.RemoveNestedField(applied.Object, "status")
			_, err := c.Apply(ctx, name, applied, metav1.ApplyOptions{FieldManager: "suite", DryRun: dryRun})
			return err
		}},
		{"create", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			_, err := c.Create(ctx, widgets.object(f.sameBucket(d, o)), metav1.CreateOptions{DryRun: dryRun})
			return err
		}},
		{"update of the status", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			o.Object["status"] = map[string]any{"size": int64(7)}
			_, err := c.UpdateStatus(ctx, o, metav1.UpdateOptions{DryRun: dryRun})
			return err
		}},
		{"patch of the status", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			_, err := c.Patch(ctx, o.GetName(), types.MergePatchType, []byte(`{"status":{"size":8}}`), metav1.PatchOptions{DryRun: dryRun}, "status")
			return err
		}},
		{"update of the scale", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			scale := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"replicas": int64(5)}}}
			scale.SetGroupVersionKind(autoscalingv1.SchemeGroupVersion.WithKind("Scale"))
			scale.SetName(o.GetName())
			scale.SetNamespace(o.GetNamespace())
			_, err := c.Update(ctx, scale, metav1.UpdateOptions{DryRun: dryRun}, "scale")
			return err
		}},
		{"delete", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			return c.Delete(ctx, o.GetName(), metav1.DeleteOptions{DryRun: dryRun})
		}},
		{"delete of many", func(ctx context.Context, c dynamic.ResourceInterface, o *unstructured.Unstructured) error {
			return c.DeleteCollection(ctx, metav1.DeleteOptions{DryRun: dryRun}, metav1.ListOptions{FieldSelector: "metadata.name=" + o.GetName()})
		}},
	} {
		o := f.made(t, widgets.GroupVersionResource, widgets.object("o-"+strings.ReplaceAll(strings.ToLower(tc.name), " ", "-")))
		for _, pod := range f.pods {
			err := tc.write(t.Context(), f.objects(pod, widgets), o.DeepCopy())
			checkRefused(t, tc.name+" by pod "+pod.Name, err, pod != f.holder(d.bucket(o)))
		}
	}
}

// objects of a type in the group's namespace, for a Pod.
func (f *fenced) objects(pod *controlplane.Replica, r resourceType) dynamic.ResourceInterface {
	return as(pod).Resource(r.GroupVersionResource).Namespace(f.namespace)
}

// sameBucket is another name in the bucket of an object.
func (f *fenced) sameBucket(d division, o *unstructured.Unstructured) string {
	for i := 0; ; i++ {
		other := o.DeepCopy()
		other.SetName(fmt.Sprintf("other-%d", i))
		if d.bucket(other) == d.bucket(o) {
			return other.GetName()
		}
	}
}

// A refusal tells people what was refused, who holds the shard and what to do.
func TestFenceMessages(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 2)
	widgets := f.scalable(t)
	d := division{family: widgets.GroupResource(), kind: widgets.kind, buckets: 1}
	f.hold(t, d)
	f.record(t, d.family)
	f.fence(t, fence.Type{Resource: d.family, Attachments: []schema.GroupResource{configMaps.GroupResource()}})
	o := f.made(t, widgets.GroupVersionResource, widgets.object("one"))
	write := func() error { return touch(t.Context(), f.objects(f.pods[1], widgets), o.GetName(), "status") }
	awaitRefused(t, write)
	for _, part := range []string{
		fence.MessagePrefix + "UPDATE of widgets/status " + f.namespace + "/one by Pod b is refused: Lease " + lease.ShardLeaseName(f.group, d.family.String()) +
			" is held by a_" + string(f.pods[0].UID),
	} {
		if err := write(); !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %q", err, part)
		}
	}
	checkRefusal(t, f.writeUnbound(t, widgets, o), "is bound to no Pod")

	child := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "orphan"}}}
	awaitRefused(t, func() error {
		_, err := in(as(f.pods[0]), configMaps, f.namespace).Create(t.Context(), child, metav1.CreateOptions{DryRun: dryRun})
		return err
	})
	_, err := in(as(f.pods[0]), configMaps, f.namespace).Create(t.Context(), child, metav1.CreateOptions{DryRun: dryRun})
	checkRefusal(t, err, "CREATE of configmaps "+f.namespace+"/orphan is refused: it names no owner")

	f.annotate(t, lease.LayoutLeaseName(f.group), lease.AnnotationLayout, "{}")
	holder := func() error { return touch(t.Context(), f.objects(f.pods[0], widgets), o.GetName()) }
	awaitRefused(t, holder)
	checkRefusal(t, holder(), "nobody has held one yet")
}

func checkRefusal(t *testing.T, err error, want string) {
	t.Helper()
	if !refused(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want a refusal that says %q", err, want)
	}
}

// writeUnbound writes an object by a token of the service account that no Pod has.
func (f *fenced) writeUnbound(t *testing.T, r resourceType, o *unstructured.Unstructured) error {
	t.Helper()
	client := clientWith(f.unboundConfig(t))
	return touch(t.Context(), client.Resource(r.GroupVersionResource).Namespace(f.namespace), o.GetName())
}

// What is none of the fence's business passes: other users, those of the control plane, what Leases of other layouts say.
func TestFenceLetsOthersPass(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 2)
	widgets := f.scalable(t)
	d := division{family: widgets.GroupResource(), kind: widgets.kind, buckets: 1}
	f.hold(t, d)
	f.record(t, d.family)
	f.fence(t, fence.Type{Resource: d.family, Attachments: []schema.GroupResource{widgets.GroupResource(), configMaps.GroupResource()}})
	o := f.made(t, widgets.GroupVersionResource, widgets.object("one")) // by the administrator
	stranger := func() error { return touch(t.Context(), f.objects(f.pods[1], widgets), o.GetName()) }
	awaitRefused(t, stranger)

	another, err := controlPlane.NewReplica(t.Context(), controlplane.ReplicaOptions{Namespace: f.namespace, Name: "another", ServiceAccount: "another"})
	if err != nil {
		t.Fatal(err)
	}
	checkRefused(t, "a write by another service account", touch(t.Context(), f.objects(another, widgets), o.GetName()), false)

	// A Lease of the last layout and one of the next are there too, and name others.
	old := division{family: d.family, kind: d.kind, buckets: 2, partition: lease.ByUID}
	for _, annotation := range []string{lease.AnnotationSealed, lease.AnnotationComing} {
		for _, b := range old.all() {
			if err := f.createLease(t.Context(), f.leaseOf(old, b, f.pods[1], annotation, "7")); err != nil {
				t.Fatal(err)
			}
		}
		// Once the Lease in force has a new holder, the API server has seen these, which were written before.
		whole := lease.ShardLeaseName(f.group, d.family.String())
		for _, holder := range []*controlplane.Replica{f.pods[1], f.pods[0]} {
			f.giveTo(t, whole, holder)
			awaitAllowed(t, func() error { return touch(t.Context(), f.objects(holder, widgets), o.GetName()) })
		}
		checkRefused(t, "the holder that the Lease "+annotation+" names", stranger(), true)
		old.buckets++ // other names
	}

	// Garbage collection: the owner goes, and the child with it.
	child := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "child"}}}
	child.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(o, widgets.GroupVersion().WithKind(widgets.kind))})
	f.made(t, configMaps, child)
	if err := f.dynamic.Resource(widgets.GroupVersionResource).Namespace(f.namespace).Delete(t.Context(), o.GetName(), metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.awaitGone(t, configMaps, "child")

	// The namespace goes, and all that is in it. What goes first is the namespace controller's choice: if it is the Leases,
	// it is refused the rest until somebody removes the policies (docs/fences.md).
	f.made(t, widgets.GroupVersionResource, widgets.object("two"))
	f.deleteNamespace(t)
	eventuallyWithin(t, controllersPatience, "the Leases or what is fenced are gone", func() error {
		leases, fenced := f.there(t, coordinationv1.SchemeGroupVersion.WithResource("leases"), ""), f.there(t, widgets.GroupVersionResource, "two")
		if leases == nil || fenced == nil {
			return nil
		}
		return errors.Join(leases, fenced)
	})
	f.unfence(t)
	f.awaitGone(t, widgets.GroupVersionResource, "two")
}

// unfence removes the group's policies as docs/fences.md says.
func (f *fenced) unfence(t *testing.T) {
	t.Helper()
	client, ours := f.kube.AdmissionregistrationV1(), metav1.ListOptions{LabelSelector: lease.LabelGroup + "=" + f.group + "," + fence.LabelNamespace + "=" + f.namespace}
	for _, remove := range []func(context.Context, metav1.DeleteOptions, metav1.ListOptions) error{
		client.ValidatingAdmissionPolicyBindings().DeleteCollection, client.ValidatingAdmissionPolicies().DeleteCollection,
	} {
		if err := remove(t.Context(), metav1.DeleteOptions{}, ours); err != nil {
			t.Fatal(err)
		}
	}
}

// there is an error while there are objects of that name, or of any if it is empty.
func (f *fenced) there(t *testing.T, gvr schema.GroupVersionResource, name string) error {
	t.Helper()
	o := metav1.ListOptions{}
	if name != "" {
		o.FieldSelector = "metadata.name=" + name
	}
	list, err := f.dynamic.Resource(gvr).Namespace(f.namespace).List(t.Context(), o)
	if err == nil && len(list.Items) > 0 {
		err = fmt.Errorf("%s %s: there are %d", gvr.Resource, name, len(list.Items))
	}
	return err
}

// deleteNamespace has the namespace controller delete all there is. No kubelet ends the Pods.
func (f *fenced) deleteNamespace(t *testing.T) {
	t.Helper()
	if err := f.kube.CoreV1().Pods(f.namespace).DeleteCollection(t.Context(), metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}, metav1.ListOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.kube.CoreV1().Namespaces().Delete(t.Context(), f.namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// controllersPatience is longer than Kubernetes' controllers wait between two attempts: those
// of the namespace controller fail for as long as other tests make and remove types.
const controllersPatience = 5 * time.Minute

// awaitGone waits until an object is no more.
func (f *fenced) awaitGone(t *testing.T, gvr schema.GroupVersionResource, name string) {
	t.Helper()
	eventuallyWithin(t, controllersPatience, name+" is gone", func() error { return f.there(t, gvr, name) })
}

// What a copy of a Lease says of a session is void: nobody holds it.
func TestFenceDoesNotTrustACopiedLease(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 1)
	d := division{family: configMaps.GroupResource(), kind: "ConfigMap", buckets: 1}
	o := f.createAll(t, configMaps, lease.ScopeNamespaced, []string{"one"})[0]
	copied := f.leaseOf(d, lease.Bucket{}, f.pods[0], lease.AnnotationSession, identityOf(f.pods[0]), lease.AnnotationClaimed, "the-uid-of-another")
	if err := f.createLease(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	f.fence(t, fence.Type{Resource: d.family})
	write := func() error { return touch(t.Context(), in(as(f.pods[0]), configMaps, f.namespace), o.GetName()) }
	awaitRefused(t, write)
	checkRefusal(t, write(), "is held by nobody")
	f.change(t, copied.Name, func(l *coordinationv1.Lease) { l.Annotations[lease.AnnotationClaimed] = string(l.UID) })
	awaitAllowed(t, write)
}

// What every replica writes for itself, whoever holds the shards, passes: its own Pod, and the group's Leases.
func TestFenceLetsReplicasLive(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 2)
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	leases := coordinationv1.SchemeGroupVersion.WithResource("leases")
	for _, d := range []division{
		{family: pods.GroupResource(), kind: "Pod", buckets: 1}, {family: leases.GroupResource(), kind: "Lease", buckets: 1},
	} {
		if err := f.createLease(t.Context(), f.leaseOf(d, lease.Bucket{}, f.pods[0])); err != nil {
			t.Fatal(err)
		}
	}
	foreign := f.made(t, leases, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{"name": "foreign"},
	}})
	f.fence(t, fence.Type{Resource: pods.GroupResource(), Attachments: []schema.GroupResource{leases.GroupResource()}}, fence.Type{Resource: leases.GroupResource()})
	b := as(f.pods[1])
	awaitRefused(t, func() error { return touch(t.Context(), in(b, leases, f.namespace), foreign.GetName()) })
	awaitRefused(t, func() error { return touch(t.Context(), in(b, pods, f.namespace), "a") })
	checkRefused(t, "a write to its own Pod", touch(t.Context(), in(b, pods, f.namespace), "b"), false)
	checkRefused(t, "deleting its own Pod", in(b, pods, f.namespace).Delete(t.Context(), "b", metav1.DeleteOptions{DryRun: dryRun}), true)
	checkRefused(t, "a write to the group's Lease", touch(t.Context(), in(b, leases, f.namespace), lease.ShardLeaseName(f.group, "pods")), false)
	own := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": map[string]any{
		"name": f.group + ".member-x", "labels": map[string]any{lease.LabelGroup: f.group, lease.LabelKind: lease.KindMember},
	}}}
	_, err := in(b, leases, f.namespace).Create(t.Context(), own, metav1.CreateOptions{DryRun: dryRun})
	checkRefused(t, "creating a member Lease", err, false)
}
