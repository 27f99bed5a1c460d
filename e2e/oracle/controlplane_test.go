// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/oracle"
	"github.com/shardctl/shardctl/pkg/lease"
)

const (
	namespace = "judged"
	group     = "demo"
	limit     = time.Minute
)

var widgets = schema.GroupVersionResource{Group: "demo.example.com", Version: "v1", Resource: "widgets"}

// scene is a control plane with two Pods that may write everything in a namespace, and a recorder of it.
type scene struct {
	cp       *controlplane.ControlPlane
	client   *kubernetes.Clientset
	recorder *oracle.Recorder
	audit    *oracle.Audit
	a, b     *actor
}

// actor writes as a Pod.
type actor struct {
	uid     types.UID
	client  *kubernetes.Clientset
	widgets dynamic.ResourceInterface
}

// The whole way, from etcd and the audit log of a real API server to the verdict, with etcd restarted, its history compacted and
// the API server killed on the way.
func TestOracleOnAControlPlane(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*limit)
	defer cancel()
	s := newScene(ctx, t)

	s.hold(ctx, t, s.a)
	began := s.a.create(ctx, t, "one")
	s.a.reconcile(ctx, t, "one")
	s.a.createChild(ctx, t, "one", began.GetUID())
	before := s.now(ctx, t)
	s.judge(ctx, t, 0, before, func(v oracle.Verdict) error { return v.Err() })

	s.hold(ctx, t, s.b)
	if err := s.cp.RestartEtcd(ctx); err != nil {
		t.Fatal(err)
	}
	s.b.reconcile(ctx, t, "one")
	s.a.touch(ctx, t, "one")
	s.a.deleteChild(ctx, t, "one")
	overlapped := s.now(ctx, t)
	v := s.judge(ctx, t, before, overlapped, func(v oracle.Verdict) error {
		verbs := []bool{}
		for _, o := range v.Overlapping {
			if o.Write.Writer.Pod == s.a.uid && o.Write.Evidence == oracle.ByAudit && o.Shard == widgets.GroupResource().String() {
				verbs = append(verbs, o.Write.Deleted)
			}
		}
		if !slices.Equal(verbs, []bool{false, true}) {
			return fmt.Errorf("overlapping writes: %v, want an update and a deletion by a", v.Overlapping)
		}
		return nil
	})
	if len(v.TakeOvers) != 1 || v.TakeOvers[0].Given || len(v.WriteGaps) != 1 || v.WriteGaps[0].Length <= 0 {
		t.Errorf("take-overs %+v, gaps %+v; want that b took it, and a gap", v.TakeOvers, v.WriteGaps)
	}

	// What was seen is known for good; what comes after the compaction is seen as well.
	if err := s.recorder.WaitFor(ctx, overlapped); err != nil {
		t.Fatal(err)
	}
	if err := s.cp.Compact(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.cp.KillAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	s.awaitWritable(ctx, t)
	afterKill := s.now(ctx, t)
	s.b.change(ctx, t, "one")
	s.b.create(ctx, t, "two")
	s.b.reconcile(ctx, t, "two")
	s.b.delete(ctx, t, "two")
	s.judge(ctx, t, afterKill, s.now(ctx, t), func(v oracle.Verdict) error {
		if len(v.Overlapping)+len(v.Unattributed) > 0 || len(v.Unreconciled) != 1 || v.Unreconciled[0].Key.Name != "one" {
			return fmt.Errorf("%+v, want only that widget one is not reconciled", v)
		}
		if v.Writes != 4 { // of widget one, and create, status and delete of widget two
			return fmt.Errorf("%d writes, want 4", v.Writes)
		}
		return nil
	})
	s.checkBlind(ctx, t)
}

func newScene(ctx context.Context, t *testing.T) *scene {
	t.Helper()
	cp := controlplane.Start(t, controlplane.Options{Audit: controlplane.AuditRequestResponse, KeepHistory: true})
	s := &scene{cp: cp, client: kubernetes.NewForConfigOrDie(cp.Config()), audit: oracle.NewAudit(cp.AuditLogPaths()...)}
	s.recorder = s.record(ctx, t)
	t.Cleanup(func() {
		if err := s.recorder.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// The namespace's controllers may do everything there.
	_, err := s.client.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "all"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: "replica"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.define(ctx, t)
	s.a, s.b = s.launch(ctx, t, "a"), s.launch(ctx, t, "b")
	return s
}

func (s *scene) record(ctx context.Context, t *testing.T) *oracle.Recorder {
	t.Helper()
	r, err := oracle.Start(ctx, oracle.Options{
		Endpoints: []string{s.cp.EtcdEndpoint()}, TLS: s.cp.EtcdTLS(), Keep: oracle.InNamespaces(namespace),
		Settled: func(o *unstructured.Unstructured) bool {
			want, _, _ := unstructured.NestedInt64(o.Object, "spec", "value")
			got, _, _ := unstructured.NestedInt64(o.Object, "status", "observed")
			return got == want
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// define makes the API server serve widgets.
func (s *scene) define(ctx context.Context, t *testing.T) {
	t.Helper()
	crds := dynamic.NewForConfigOrDie(s.cp.Config()).Resource(schema.GroupVersionResource{
		Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions",
	})
	_, err := crds.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": widgets.GroupResource().String()},
		"spec": map[string]any{
			"group": widgets.Group, "scope": "Namespaced",
			"names": map[string]any{"kind": "Widget", "plural": "widgets", "singular": "widget"},
			"versions": []any{map[string]any{
				"name": widgets.Version, "served": true, "storage": true,
				"subresources": map[string]any{"status": map[string]any{}},
				"schema": map[string]any{"openAPIV3Schema": map[string]any{
					"type": "object", "x-kubernetes-preserve-unknown-fields": true,
				}},
			}},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.poll(ctx, t, "widgets to be served", func(ctx context.Context) error {
		_, err := dynamic.NewForConfigOrDie(s.cp.Config()).Resource(widgets).Namespace(namespace).List(ctx, metav1.ListOptions{})
		return err
	})
}

func (s *scene) launch(ctx context.Context, t *testing.T, name string) *actor {
	t.Helper()
	pod, err := s.cp.NewReplica(ctx, controlplane.ReplicaOptions{Namespace: namespace, Name: name, ServiceAccount: "replica"})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.CopyConfig(pod.Config)
	return &actor{
		uid:     pod.UID,
		client:  kubernetes.NewForConfigOrDie(config),
		widgets: dynamic.NewForConfigOrDie(config).Resource(widgets).Namespace(namespace),
	}
}

func (s *scene) poll(ctx context.Context, t *testing.T, what string, try func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, limit, true, func(ctx context.Context) (bool, error) {
		last = try(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("wait for %s: %v; last: %v", what, err, last)
	}
}

// hold makes the Pod the holder of the widgets; it writes that itself.
func (s *scene) hold(ctx context.Context, t *testing.T, by *actor) {
	t.Helper()
	leases := by.client.CoordinationV1().Leases(namespace)
	name := lease.ShardLeaseName(group, widgets.GroupResource().String())
	holder := lease.Identity{Replica: lease.Replica{Pod: "pod", UID: by.uid, Container: "c", Boot: "boot"}}.String()
	l, err := leases.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		l = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if l, err = leases.Create(ctx, l, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	l.Spec.HolderIdentity = &holder
	if _, err := leases.Update(ctx, l, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// now is the newest revision that anything has.
func (s *scene) now(ctx context.Context, t *testing.T) int64 {
	t.Helper()
	list, err := s.client.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	revision, err := strconv.ParseInt(list.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func (s *scene) judge(ctx context.Context, t *testing.T, from, to int64, check func(oracle.Verdict) error) oracle.Verdict {
	t.Helper()
	history, err := oracle.Attribute(ctx, s.recorder, s.audit, to)
	if err != nil {
		t.Fatal(err)
	}
	v := oracle.Judge(oracle.Config{
		Group: group, Namespace: namespace,
		Types: []oracle.TypeRule{{Resource: widgets.GroupResource(), Kind: "Widget", Children: []schema.GroupResource{{Resource: "configmaps"}}}},
	}, history, oracle.Window{From: from, To: to})
	if err := check(v); err != nil {
		t.Errorf("revisions %d to %d: %v", from, to, err)
	}
	if v.Writes == 0 {
		t.Errorf("revisions %d to %d: no write was judged", from, to)
	}
	return v
}

// awaitWritable waits until the API server admits and stores writes.
func (s *scene) awaitWritable(ctx context.Context, t *testing.T) {
	t.Helper()
	s.poll(ctx, t, "the API server to take writes", func(ctx context.Context) error {
		_, err := s.b.widgets.Patch(ctx, "one", types.MergePatchType, []byte(`{}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
}

// checkBlind starts a recorder that cannot see the beginning any more.
func (s *scene) checkBlind(ctx context.Context, t *testing.T) {
	t.Helper()
	r := s.record(ctx, t)
	if err := r.WaitFor(ctx, s.now(ctx, t)); !errors.Is(err, oracle.ErrBlind) {
		t.Errorf("a recorder that has missed the beginning says %v, want %v", err, oracle.ErrBlind)
	}
	if err := r.Stop(); !errors.Is(err, oracle.ErrBlind) {
		t.Errorf("it ends with %v, want %v", err, oracle.ErrBlind)
	}
}

func (a *actor) create(ctx context.Context, t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	o, err := a.widgets.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": widgets.GroupVersion().String(), "kind": "Widget",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"value": int64(1)},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (a *actor) patch(ctx context.Context, t *testing.T, name, patch string, subresources ...string) {
	t.Helper()
	if _, err := a.widgets.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, subresources...); err != nil {
		t.Fatal(err)
	}
}

func (a *actor) reconcile(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	a.patch(ctx, t, name, fmt.Sprintf(`{"status":{"observed":1,"by":%q}}`, a.uid), "status")
}

func (a *actor) touch(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	a.patch(ctx, t, name, fmt.Sprintf(`{"metadata":{"annotations":{"touched":%q}}}`, a.uid))
}

func (a *actor) change(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	a.patch(ctx, t, name, `{"spec":{"value":2}}`)
}

func (a *actor) delete(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	if err := a.widgets.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (a *actor) createChild(ctx context.Context, t *testing.T, name string, owner types.UID) {
	t.Helper()
	_, err := a.client.CoreV1().ConfigMaps(namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: name,
		OwnerReferences: []metav1.OwnerReference{{
			APIVersion: widgets.GroupVersion().String(), Kind: "Widget", Name: name, UID: owner, Controller: ptr.To(true),
		}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func (a *actor) deleteChild(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	if err := a.client.CoreV1().ConfigMaps(namespace).Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}
