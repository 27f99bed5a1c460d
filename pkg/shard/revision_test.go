// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/ktesting"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// podOf is the Pod of the replica p, controlled by an object of a kind of apps/v1.
func podOf(kind, owner string, labels map[string]string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "pod-uid", Labels: labels}}
	if kind != "" {
		pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: owner, UID: types.UID(owner), Controller: ptr.To(true)}}
	}
	return pod
}

func replicaSet(labels, annotations map[string]string) *appsv1.ReplicaSet {
	return &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "set", UID: "set", Labels: labels, Annotations: annotations}}
}

func controllerRevision(name, owner string) *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, OwnerReferences: podOf("StatefulSet", owner, nil).OwnerReferences},
		Revision:   7,
	}
}

// runAs is the workload of the replica p in a cluster of these objects.
func runAs(objects ...runtime.Object) (*workload, *fake.Clientset) {
	client := fake.NewClientset(objects...)
	return workloadOf(client.CoreV1(), client.AppsV1(), &GroupOptions{Namespace: "ns", Pod: "p", PodUID: "pod-uid"}), client
}

// refuse makes the API server refuse requests for want of a permission.
func refuse(client *fake.Clientset, verb, resource string) {
	client.PrependReactor(verb, resource, func(a k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(a.GetResource().GroupResource(), "x", errors.New("no"))
	})
}

// logged returns a context whose log is kept.
func logged(t *testing.T) (context.Context, ktesting.Buffer) {
	t.Helper()
	logger := ktesting.NewLogger(t, ktesting.NewConfig(ktesting.BufferLogs(true)))
	return klog.NewContext(t.Context(), logger), logger.GetSink().(ktesting.Underlier).GetBuffer()
}

func TestRevisionIsThatOfThePod(t *testing.T) {
	const hash, template = "controller-revision-hash", "pod-template-hash"
	noted := map[string]string{annotationRevision: "12", annotationDesired: "3"}
	for _, test := range []struct {
		name    string
		objects []runtime.Object
		want    revision
	}{
		{
			"of a Deployment: what is noted on its ReplicaSet",
			[]runtime.Object{podOf("ReplicaSet", "set", map[string]string{template: "abc"}), replicaSet(map[string]string{template: "abc"}, noted)},
			revision{number: 12, replicas: 3},
		},
		{
			"of a StatefulSet: its label names the ControllerRevision",
			[]runtime.Object{podOf("StatefulSet", "db", map[string]string{hash: "db-abc"}), controllerRevision("db-abc", "db")},
			revision{number: 7},
		},
		{
			"of a DaemonSet: its label is the hash in the name of the ControllerRevision",
			[]runtime.Object{podOf("DaemonSet", "agent", map[string]string{hash: "abc"}), controllerRevision("agent-abc", "agent")},
			revision{number: 7},
		},
		{"no Pod", nil, revision{number: 1}},
		{"no controller", []runtime.Object{podOf("", "", nil)}, revision{number: 1}},
		{"a controller without revisions", []runtime.Object{podOf("Job", "j", nil)}, revision{number: 1}},
		{"a ReplicaSet that is gone", []runtime.Object{podOf("ReplicaSet", "set", nil)}, revision{number: 1}},
		{"a ReplicaSet without a Deployment", []runtime.Object{podOf("ReplicaSet", "set", nil), replicaSet(nil, nil)}, revision{number: 1}},
		{
			"a ReplicaSet of another template",
			[]runtime.Object{podOf("ReplicaSet", "set", map[string]string{template: "abc"}), replicaSet(map[string]string{template: "def"}, noted)},
			revision{number: 1},
		},
		{
			"a ControllerRevision of another set",
			[]runtime.Object{podOf("StatefulSet", "db", map[string]string{hash: "db-abc"}), controllerRevision("db-abc", "another")},
			revision{number: 1},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			w, _ := runAs(test.objects...)
			ctx, log := logged(t)
			if got := newReviser(w).first(ctx, 1); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if lines := strings.Count(log.String(), "revision is"); lines != 1 {
				t.Errorf("it was told %d times, want once:\n%s", lines, log.String())
			}
		})
	}
}

func TestRevisionOfANamesakeIsNotTaken(t *testing.T) {
	namesake := podOf("ReplicaSet", "set", nil)
	namesake.UID = "another"
	w, _ := runAs(namesake, replicaSet(nil, map[string]string{annotationRevision: "12"}))
	if got := newReviser(w).first(t.Context(), 1); got.number != 1 {
		t.Errorf("the revision is %d, want the configured one, for the Pod is another", got.number)
	}
}

func TestRevisionThatMayNotBeReadNamesThePermission(t *testing.T) {
	for _, resource := range []string{"pods", "replicasets"} {
		w, client := runAs(podOf("ReplicaSet", "set", nil), replicaSet(nil, map[string]string{annotationRevision: "12"}))
		refuse(client, "get", resource)
		ctx, log := logged(t)
		if got := newReviser(w).first(ctx, 5); got.number != 5 {
			t.Errorf("without the permission to get %s the revision is %d, want the configured one", resource, got.number)
		}
		if !strings.Contains(log.String(), `permission="get `+resource) {
			t.Errorf("the log does not name the permission to get %s:\n%s", resource, log.String())
		}
	}
}

func TestRevisionIsAwaitedWhileTheAPIServerGivesNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, client := runAs(podOf("ReplicaSet", "set", nil), replicaSet(nil, map[string]string{annotationRevision: "12"}))
		began := time.Now()
		client.PrependReactor("get", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			if time.Since(began) < 30*time.Second {
				return true, nil, apierrors.NewServiceUnavailable("starting")
			}
			return false, nil, nil
		})
		if got := newReviser(w).first(t.Context(), 1); got.number != 12 {
			t.Errorf("the revision is %d, want 12, which could be read after half a minute", got.number)
		}
	})
}

func TestRevisionIsNotAwaitedForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, client := runAs()
		client.PrependReactor("get", "pods", func(k8stesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("connection refused")
		})
		began := time.Now()
		if got := newReviser(w).first(t.Context(), 4); got.number != 4 {
			t.Errorf("the revision is %d, want the configured one", got.number)
		}
		if took := time.Since(began); took > 4*time.Minute {
			t.Errorf("it took %s", took)
		}
	})
}

// inReplicaSet makes the replica run in a Pod of a ReplicaSet of this revision, of which there are to be that many.
func (m *member) inReplicaSet(revision, desired string) *fake.Clientset {
	w, client := runAs(podOf("ReplicaSet", "set", nil), replicaSet(nil, map[string]string{annotationRevision: revision, annotationDesired: desired}))
	m.runsAs(w)
	return client
}

// What the cluster says is in the first heartbeat, and goes before what is configured.
func TestGroupJoinsWithTheRevisionOfItsPod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		m := c.prepare("p")
		m.inReplicaSet("12", "2")
		if m.Ready() == nil {
			t.Error("the group is ready before it runs")
		}
		m.run()
		c.eventually(firstStart, "the replica has a session", func() bool { return m.Ready() == nil })
		list, err := c.leases.Client("reader", nil).List(t.Context(), metav1.ListOptions{LabelSelector: lease.LabelKind + "=" + lease.KindMember})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 1 {
			t.Fatalf("there are %d member Leases, want 1", len(list.Items))
		}
		if got := lease.DecodeMember(&list.Items[0]); got.Revision != 12 || got.Replicas != 2 {
			t.Errorf("the member Lease says revision %d and %d replicas, want 12 and 2", got.Revision, got.Replicas)
		}
		c.stop(m)
	})
}

// prepareBoth makes a replica with a controller for both types, that does not run yet.
func (c *cluster) prepareBoth(name string) *member {
	c.t.Helper()
	m := c.prepare(name)
	for _, gvr := range []schema.GroupVersionResource{widgets, gadgets} {
		if err := m.Add(Controller{Resource: gvr, Reconcile: func(context.Context, Key) (Result, error) { return Result{}, nil }}); err != nil {
			c.t.Fatal(err)
		}
	}
	return m
}

func TestShardsMoveToTheNewRevisionAndTheOldPodIsMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		old, updated := c.prepareBoth("old"), c.prepareBoth("new")
		pod := old.inReplicaSet("1", "1")
		updated.inReplicaSet("2", "1")
		old.run()
		c.eventually(firstStart, "the old replica holds everything", func() bool { return len(old.holds()) == 2 })
		if got := costOf(t, pod); got != "none" {
			t.Errorf("the Pod that holds everything has the deletion cost %s, want none", got)
		}
		updated.run()
		c.eventually(10*time.Second, "the new replica holds everything", func() bool { return len(updated.holds()) == 2 && len(old.holds()) == 0 })
		c.eventually(time.Second, "the old Pod is marked", func() bool { return costOf(t, pod) == emptiedCost })
		c.stop(updated)
		c.eventually(time.Second, "the mark is gone once it holds everything again", func() bool { return len(old.holds()) == 2 && costOf(t, pod) == "none" })
		c.stop(old)
	})
}
