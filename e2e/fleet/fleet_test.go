// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"context"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/fleet"
)

const configuration = `
apiVersion: shardctl.dev/v1alpha1
kind: Configuration
metadata: {name: group}
spec:
  http: {address: "127.0.0.1:0"}
  roles:
  - name: widgets
    decorator:
      resources: [{apiVersion: test.shardctl.dev/v1, resource: widgets}]
      hooks: {sync: {webhook: {url: "http://127.0.0.1:1/sync"}}}
`

func widgets() *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": "widgets.test.shardctl.dev"},
		"spec": map[string]any{
			"group": "test.shardctl.dev",
			"scope": "Namespaced",
			"names": map[string]any{"kind": "Widget", "plural": "widgets"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": map[string]any{"type": "object"}},
			}},
		},
	}}
}

// TestFleetInAForeignCluster installs a group in a cluster that the fleet knows by a kubeconfig alone, and removes it.
func TestFleetInAForeignCluster(t *testing.T) {
	cp := controlplane.Start(t, controlplane.Options{})
	cluster, err := fleet.Foreign(cp.KubeconfigPath(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	binary, err := fleet.Build(t.Context(), fleet.BuildOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	options := fleet.Options{
		Cluster: cluster, Binary: binary, Config: []byte(configuration), Namespace: "space",
		CRDs: []*unstructured.Unstructured{widgets()}, LayoutRecord: true,
	}
	f := fleet.Start(t, options)

	options.Dir = t.TempDir()
	other, err := fleet.New(t.Context(), options)
	if !apierrors.IsAlreadyExists(err) || !strings.Contains(err.Error(), "kubectl delete") {
		t.Errorf("New in the same namespace returned %v, want that it exists, and how to remove it", err)
	}
	if err := other.Uninstall(t.Context()); err != nil {
		t.Error(err)
	}

	a, err := f.Launch(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	expectPod(t, a)
	if _, err := f.WaitFor(t.Context(), 30*time.Second, "the only replica to hold the only type", fleet.HeldBy("widgets.test.shardctl.dev", "a")); err != nil {
		t.Fatal(err)
	}
	if acquired, err := f.AcquiredAt(t.Context(), "widgets.test.shardctl.dev"); err != nil || time.Since(acquired) > time.Minute {
		t.Errorf("AcquiredAt returned %v, %v; want a moment ago", acquired, err)
	}
	if text, err := f.Command(t.Context(), "status"); err != nil || !strings.Contains(text, "widgets.test.shardctl.dev   held") {
		t.Errorf("shardctl status: %v\n%s", err, text)
	}
	if exit, err := a.Terminate(t.Context()); err != nil || exit.Code != 0 {
		t.Errorf("Terminate returned %+v, %v; want exit code 0", exit, err)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.Uninstall(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := kubernetes.NewForConfigOrDie(cp.Config()).CoreV1().Namespaces().Get(ctx, "space", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after Uninstall the namespace is still there: %v", err)
	}
}

// expectPod asks the API server who it takes the replica for.
func expectPod(t *testing.T, r *fleet.Replica) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", r.Pod().Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	review, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	user := review.Status.UserInfo
	name, uid := user.Extra["authentication.kubernetes.io/pod-name"], user.Extra["authentication.kubernetes.io/pod-uid"]
	if user.Username != "system:serviceaccount:space:shardctl" || len(name) != 1 || name[0] != r.Name() || len(uid) != 1 || uid[0] != string(r.UID()) {
		t.Errorf("the API server takes replica %s (%s) for %+v", r.Name(), r.UID(), user)
	}
}
