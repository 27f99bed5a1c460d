// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// ownedBy makes an object a child by owner reference.
func ownedBy(child, owner *unstructured.Unstructured) *unstructured.Unstructured {
	child = child.DeepCopy()
	child.SetOwnerReferences([]metav1.OwnerReference{*metav1.NewControllerRef(owner, owner.GroupVersionKind())})
	return child
}

// markedFor makes an object a child by annotation.
func markedFor(child, owner *unstructured.Unstructured, family schema.GroupResource) *unstructured.Unstructured {
	child = child.DeepCopy()
	shard.MarkOwner(child, family, owner)
	return child
}

func configMap(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}}}
}

// parents makes two objects, the first in a bucket of the first Pod, the second in one of the second.
func (f *fenced) parents(t *testing.T, d division, r resourceType) (ofA, ofB *unstructured.Unstructured) {
	t.Helper()
	names := map[*controlplane.Replica]*unstructured.Unstructured{}
	for i := 0; len(names) < 2; i++ {
		o := f.made(t, r.GroupVersionResource, r.object("parent-"+string(rune('a'+i))))
		if holder := f.holder(d.bucket(o)); names[holder] == nil {
			names[holder] = o
		}
	}
	return names[f.pods[0]], names[f.pods[1]]
}

// What is attached to an object is judged by the object's bucket, in every partition.
func TestFenceJudgesAttachmentsByTheirOwner(t *testing.T) {
	t.Parallel()
	for _, partition := range []lease.Partition{lease.ByUID, lease.ByKey} {
		t.Run(string(partition), func(t *testing.T) {
			t.Parallel()
			f := newFenced(t, 2)
			widgets := f.scalable(t)
			d := division{family: widgets.GroupResource(), kind: widgets.kind, buckets: 4, partition: partition}
			f.hold(t, d)
			f.fence(t, fence.Type{Resource: d.family, Attachments: []schema.GroupResource{configMaps.GroupResource(), clusterRoles.GroupResource()}})
			ofA, ofB := f.parents(t, d, widgets)
			awaitRefused(t, func() error { return f.createBy(t, f.pods[0], configMap("x")) })
			f.checkChildren(t, d, ofA, ofB)
		})
	}
}

// createBy creates a ConfigMap, as a dry run.
func (f *fenced) createBy(t *testing.T, pod *controlplane.Replica, o *unstructured.Unstructured) error {
	t.Helper()
	_, err := in(as(pod), configMaps, f.namespace).Create(t.Context(), o, metav1.CreateOptions{DryRun: dryRun})
	return err
}

func (f *fenced) checkChildren(t *testing.T, d division, ofA, ofB *unstructured.Unstructured) {
	t.Helper()
	a, b := f.pods[0], f.pods[1]
	both := markedFor(ownedBy(configMap("both"), ofA), ofB, d.family)
	stranger := ofA.DeepCopy()
	stranger.SetKind("Stranger")
	for _, tc := range []struct {
		name   string
		child  *unstructured.Unstructured
		aMay   bool
		bMay   bool
		unsent bool // it is refused when it is created, so there is nothing to update
	}{
		{"by owner reference to one of a's", ownedBy(configMap("ref-a"), ofA), true, false, false},
		{"by owner reference to one of b's", ownedBy(configMap("ref-b"), ofB), false, true, false},
		{"by annotation for one of a's", markedFor(configMap("mark-a"), ofA, d.family), true, false, false},
		{"by annotation for one of b's", markedFor(configMap("mark-b"), ofB, d.family), false, true, false},
		{"both ways, for different owners", both, false, false, true},
		{"of nobody", configMap("orphan"), false, false, true},
		{"marked for another type", markedFor(configMap("other"), ofA, schema.GroupResource{Resource: "pods"}), false, false, true},
	} {
		for pod, may := range map[*controlplane.Replica]bool{a: tc.aMay, b: tc.bMay} {
			checkRefused(t, "pod "+pod.Name+" creates one "+tc.name, f.createBy(t, pod, tc.child), !may)
		}
		if tc.unsent {
			continue
		}
		made := f.made(t, configMaps, tc.child)
		for pod, may := range map[*controlplane.Replica]bool{a: tc.aMay, b: tc.bMay} {
			client := in(as(pod), configMaps, f.namespace)
			checkRefused(t, "pod "+pod.Name+" updates one "+tc.name, touch(t.Context(), client, made.GetName()), !may)
			checkRefused(t, "pod "+pod.Name+" deletes one "+tc.name, client.Delete(t.Context(), made.GetName(), metav1.DeleteOptions{DryRun: dryRun}), !may)
		}
	}
	f.checkReparenting(t, ofA, ofB)
	f.checkClusterScoped(t, d, ofA)
}

// Neither the old nor the new owner's holder may move a child alone. To let go of one, or to take what is nobody's, is judged by
// the one owner.
func (f *fenced) checkReparenting(t *testing.T, ofA, ofB *unstructured.Unstructured) {
	t.Helper()
	made := f.made(t, configMaps, ownedBy(configMap("moved"), ofA))
	for name, refs := range map[string][]metav1.OwnerReference{"another": ownedBy(made, ofB).GetOwnerReferences(), "none": nil} {
		moved := made.DeepCopy()
		moved.SetOwnerReferences(refs)
		for _, pod := range f.pods {
			_, err := in(as(pod), configMaps, f.namespace).Update(t.Context(), moved, metav1.UpdateOptions{DryRun: dryRun})
			checkRefused(t, "pod "+pod.Name+" gives a's child "+name+" as owner", err, name != "none" || pod != f.pods[0])
		}
	}
	foreign := f.made(t, configMaps, configMap("foreign"))
	for _, pod := range f.pods {
		_, err := in(as(pod), configMaps, f.namespace).Update(t.Context(), ownedBy(foreign, ofA), metav1.UpdateOptions{DryRun: dryRun})
		checkRefused(t, "pod "+pod.Name+" makes what is nobody's a child of a's", err, pod != f.pods[0])
		checkRefused(t, "pod "+pod.Name+" writes what is nobody's", touch(t.Context(), in(as(pod), configMaps, f.namespace), "foreign"), true)
	}
}

// A child without namespace can only be marked.
func (f *fenced) checkClusterScoped(t *testing.T, d division, ofA *unstructured.Unstructured) {
	t.Helper()
	role := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": map[string]any{"name": f.namespace + "-child"},
	}}
	for _, pod := range f.pods {
		_, err := as(pod).Resource(clusterRoles).Create(t.Context(), markedFor(role, ofA, d.family), metav1.CreateOptions{DryRun: dryRun})
		checkRefused(t, "pod "+pod.Name+" creates a cluster-scoped child of a's", err, pod != f.pods[0])
	}
}

// A type may be led by itself and attached to others: each write is judged as what it is.
func TestFenceOfATypeThatIsAttachedToo(t *testing.T) {
	t.Parallel()
	f := newFenced(t, 2)
	widgets := f.scalable(t)
	gadgets := f.createTypes(t, "gadgets")[0]
	a, b := f.pods[0], f.pods[1]
	// Pod a has all widgets, Pod b all gadgets.
	for pod, r := range map[*controlplane.Replica]resourceType{a: widgets, b: gadgets} {
		d := division{family: r.GroupResource(), kind: r.kind, buckets: 1}
		if err := f.createLease(t.Context(), f.leaseOf(d, lease.Bucket{}, pod)); err != nil {
			t.Fatal(err)
		}
	}
	f.fence(t, fence.Type{Resource: widgets.GroupResource(), Attachments: []schema.GroupResource{gadgets.GroupResource()}}, fence.Type{Resource: gadgets.GroupResource()})
	widget := f.made(t, widgets.GroupVersionResource, widgets.object("one"))
	attached := func(name string) *unstructured.Unstructured {
		o := ownedBy(gadgets.object(name), widget)
		o.SetAnnotations(map[string]string{"metacontroller.k8s.io/decorator-controller": "any"})
		return o
	}
	child := f.made(t, gadgets.GroupVersionResource, attached("child"))
	others := f.made(t, gadgets.GroupVersionResource, ownedBy(gadgets.object("others"), widget)) // by who knows no marks
	free := f.made(t, gadgets.GroupVersionResource, gadgets.object("free"))
	awaitRefused(t, func() error { return touch(t.Context(), f.objects(a, gadgets), free.GetName()) })
	awaitRefused(t, func() error { return touch(t.Context(), f.objects(b, widgets), widget.GetName()) })

	asAttachment := metav1.UpdateOptions{DryRun: dryRun, FieldManager: fence.AttachmentManager}
	for _, tc := range []struct {
		name  string
		write func(dynamic.ResourceInterface) error
		by    *controlplane.Replica // who may
	}{
		{"create a child", func(c dynamic.ResourceInterface) error {
			_, err := c.Create(t.Context(), attached("new"), metav1.CreateOptions{DryRun: dryRun})
			return err
		}, a},
		{"create what is nobody's", func(c dynamic.ResourceInterface) error {
			_, err := c.Create(t.Context(), gadgets.object("new"), metav1.CreateOptions{DryRun: dryRun})
			return err
		}, b},
		{"update a child as an attachment", func(c dynamic.ResourceInterface) error {
			_, err := c.Update(t.Context(), child, asAttachment)
			return err
		}, a},
		{"update a child as an object", func(c dynamic.ResourceInterface) error {
			_, err := c.Update(t.Context(), child, metav1.UpdateOptions{DryRun: dryRun, FieldManager: "shardctl"})
			return err
		}, b},
		{"update the status of a child", func(c dynamic.ResourceInterface) error {
			_, err := c.UpdateStatus(t.Context(), child, metav1.UpdateOptions{DryRun: dryRun})
			return err
		}, b},
		{"update what is nobody's, as if it were an attachment", func(c dynamic.ResourceInterface) error {
			_, err := c.Update(t.Context(), free, asAttachment)
			return err
		}, b},
		{"delete a child", func(c dynamic.ResourceInterface) error {
			return c.Delete(t.Context(), child.GetName(), metav1.DeleteOptions{DryRun: dryRun})
		}, a},
		{"delete what somebody else has made for an owner", func(c dynamic.ResourceInterface) error {
			return c.Delete(t.Context(), others.GetName(), metav1.DeleteOptions{DryRun: dryRun})
		}, b},
		{"delete what is nobody's", func(c dynamic.ResourceInterface) error {
			return c.Delete(t.Context(), free.GetName(), metav1.DeleteOptions{DryRun: dryRun})
		}, b},
	} {
		for _, pod := range f.pods {
			checkRefused(t, "pod "+pod.Name+" would "+tc.name, tc.write(f.objects(pod, gadgets)), pod != tc.by)
		}
	}
}
