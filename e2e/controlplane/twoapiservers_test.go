// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane_test

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

// TestTwoAPIServers is one control plane with two API servers, and what one may expect of them.
func TestTwoAPIServers(t *testing.T) {
	cp := controlplane.Start(t, controlplane.Options{
		APIServers: 2, Audit: controlplane.AuditMetadata, KeepHistory: true, NoControllerManager: true,
	})
	for _, test := range []struct {
		name string
		test func(*testing.T, *controlplane.ControlPlane)
	}{
		{"both know the same replicas", testReplicaOfBoth},
		{"each has its own audit log", testAuditOfEach},
		{"one is cut off, the other goes on", testCutOff},
		{"etcd restarts and forgets while one is cut off", testHistoryLostWhileCutOff},
		{"connections to etcd are cut", testEtcdConnectionsCut},
	} {
		t.Run(test.name, func(t *testing.T) { test.test(t, cp) })
	}
}

func testReplicaOfBoth(t *testing.T, cp *controlplane.ControlPlane) {
	namespace := newNamespace(t, cp)
	replica := newReplica(t, cp, controlplane.ReplicaOptions{Namespace: namespace, Name: "widgets-0", ServiceAccount: "widgets"})
	for i := range 2 {
		user := whoAmI(t, cp.ConfigForTokenAt(i, replica.Token))
		if got := user.Extra["authentication.kubernetes.io/pod-uid"]; len(got) != 1 || got[0] != string(replica.UID) {
			t.Errorf("API server %d knows the replica as Pod %q, want %q", i, got, replica.UID)
		}
	}
}

func testAuditOfEach(t *testing.T, cp *controlplane.ControlPlane) {
	namespace := newNamespace(t, cp)
	clients := []*kubernetes.Clientset{clientFor(t, cp.Config()), clientFor(t, cp.SecondConfig())}
	names := []string{"sent-to-the-first", "sent-to-the-second"}
	for i, client := range clients {
		if _, err := client.CoreV1().ConfigMaps(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + names[i]}); err != nil {
			t.Fatal(err)
		}
	}
	for i, path := range cp.AuditLogPaths() {
		log, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for j, name := range names {
			if got := bytes.Contains(log, []byte(name)); got != (i == j) {
				t.Errorf("audit log %d has the request to API server %d: %t", i, j, got)
			}
		}
	}
}

// testCutOff shows that watch caches are each API server's own, too.
func testCutOff(t *testing.T, cp *controlplane.ControlPlane) {
	namespace := newNamespace(t, cp)
	first := clientFor(t, cp.Config()).CoreV1().ConfigMaps(namespace)
	second := clientFor(t, cp.SecondConfig()).CoreV1().ConfigMaps(namespace)
	createConfigMap(t, cp, namespace, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "before"}})
	cached := metav1.GetOptions{ResourceVersion: "0"}
	eventually(t, "the second API server has the object in its cache", func(ctx context.Context) (bool, error) {
		_, err := second.Get(ctx, "before", cached)
		return err == nil, ignoreNotFound(err)
	})

	cutOff(t, cp, true)
	createConfigMap(t, cp, namespace, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "meanwhile"}})
	if _, err := second.Get(t.Context(), "before", cached); err != nil {
		t.Errorf("the second API server does not answer from its cache: %v", err)
	}
	if _, err := second.Get(t.Context(), "meanwhile", cached); !apierrors.IsNotFound(err) {
		t.Errorf("the second API server returned %v for what it cannot know, want 404", err)
	}
	written := make(chan error, 1)
	go func() {
		late := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}}
		_, err := second.Create(t.Context(), late, metav1.CreateOptions{})
		written <- err
	}()
	select {
	case err := <-written:
		t.Fatalf("a write through the second API server was answered: %v", err)
	case <-time.After(500 * time.Millisecond):
	}
	if _, err := first.Get(t.Context(), "late", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the first API server returned %v for a write that was held up, want 404", err)
	}

	cutOff(t, cp, false)
	eventually(t, "the second API server has caught up", func(ctx context.Context) (bool, error) {
		_, err := second.Get(ctx, "meanwhile", cached)
		return err == nil, ignoreNotFound(err)
	})
	if err := <-written; err != nil {
		t.Errorf("the write that was held up: %v", err)
	}
	if _, err := first.Get(t.Context(), "late", metav1.GetOptions{}); err != nil {
		t.Errorf("the first API server returned %v for the write that was held up", err)
	}
}

// testHistoryLostWhileCutOff has an API server begin its caches anew, since etcd has nothing any more for it to resume with.
func testHistoryLostWhileCutOff(t *testing.T, cp *controlplane.ControlPlane) {
	namespace := newNamespace(t, cp)
	second := clientFor(t, cp.SecondConfig()).CoreV1().ConfigMaps(namespace)
	list, err := second.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cutOff(t, cp, true)
	if err := cp.RestartEtcd(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"meanwhile", "a-second", "a-third"} { // one alone would be the revision that etcd keeps
		createConfigMap(t, cp, namespace, corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	if err := cp.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	cutOff(t, cp, false)
	eventually(t, "the second API server knows what it has missed", func(ctx context.Context) (bool, error) {
		_, err := second.Get(ctx, "meanwhile", metav1.GetOptions{ResourceVersion: "0"})
		return err == nil, nil
	})
	watch, err := second.Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if event := <-watch.ResultChan(); !apierrors.IsResourceExpired(apierrors.FromObject(event.Object)) {
		t.Errorf("a watch that resumes where it was gets %+v, want that this is too old", event)
	}
}

func testEtcdConnectionsCut(t *testing.T, cp *controlplane.ControlPlane) {
	network := cp.EtcdProxy(0)
	before := network.Opened()
	network.Cut()
	namespaces := clientFor(t, cp.Config()).CoreV1().Namespaces()
	eventually(t, "the API server reaches etcd again", func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
		return err == nil, nil
	})
	if network.Opened() == before {
		t.Error("no connection was made anew: nothing was cut")
	}
}

func cutOff(t *testing.T, cp *controlplane.ControlPlane, cut bool) {
	t.Helper()
	if err := cp.CutFromEtcd(1, cut); err != nil {
		t.Fatal(err)
	}
}
