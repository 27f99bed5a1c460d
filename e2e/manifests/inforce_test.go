// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// install applies the example for good, and returns a client that may do everything.
func install(t *testing.T) *kubernetes.Clientset {
	t.Helper()
	newApplier(t, controlPlane.Config()).applyAll(t, build(t, exampleOverlay))
	return kubernetes.NewForConfigOrDie(controlPlane.Config())
}

// podsOf waits for the Pods of the Deployment.
func podsOf(t *testing.T, client *kubernetes.Clientset) []corev1.Pod {
	t.Helper()
	var pods []corev1.Pod
	await(t, time.Minute, "the Deployment's three Pods", func() error {
		list, err := client.CoreV1().Pods(namespace).
			List(t.Context(), metav1.ListOptions{LabelSelector: labels.Set{"app.kubernetes.io/name": name}.String()})
		if err != nil {
			return err
		}
		pods = list.Items
		if len(pods) != 3 {
			return fmt.Errorf("there are %d", len(pods))
		}
		return nil
	})
	return pods
}

// The namespace enforces the Pod security standard "restricted".
func TestPodsAreAdmittedWhereOthersAreNot(t *testing.T) {
	client := install(t)
	podsOf(t, client)
	_, err := client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "careless"},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "never-pulled"}}},
	}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "restricted") {
		t.Errorf("a Pod without a security context: %v, want that the standard forbids it", err)
	}
}

func TestDisruptionBudgetCountsTheReplicas(t *testing.T) {
	client := install(t)
	podsOf(t, client)
	await(t, time.Minute, "the budget to be about three Pods", func() error {
		budget, err := client.PolicyV1().PodDisruptionBudgets(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if got := budget.Status; got.ExpectedPods != 3 || got.DesiredHealthy != 2 {
			return fmt.Errorf("it expects %d, of which %d have to be healthy", got.ExpectedPods, got.DesiredHealthy)
		}
		return nil
	})
}

func TestLeasesOfTheGroupHavePriority(t *testing.T) {
	client := install(t)
	level, err := client.FlowcontrolV1().PriorityLevelConfigurations().Get(t.Context(), "leader-election", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := client.CoreV1().ServiceAccounts(namespace).
		CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	replica := controlPlane.ConfigForToken(token.Status.Token)
	const leases = "/apis/coordination.k8s.io/v1/namespaces/" + namespace + "/leases"
	await(t, time.Minute, "the FlowSchema to be in force", func() error {
		if got := priorityOf(t, replica, http.MethodGet, leases); got != string(level.UID) {
			return fmt.Errorf("the priority level of a list of the group's Leases is %q, want %q", got, level.UID)
		}
		return nil
	})
	for _, test := range []struct {
		what, method, path string
		as                 *rest.Config
		want               bool
	}{
		{"a watch", http.MethodGet, leases + "?watch=true&timeoutSeconds=1", replica, true},
		{"a get", http.MethodGet, leases + "/x", replica, true},
		{"a create", http.MethodPost, leases, replica, true},
		{"an update", http.MethodPut, leases + "/x", replica, true},
		{"a delete", http.MethodDelete, leases + "/x", replica, true},
		{"Leases elsewhere", http.MethodGet, "/apis/coordination.k8s.io/v1/namespaces/default/leases", replica, false},
		{"other objects", http.MethodGet, "/api/v1/namespaces/" + namespace + "/pods", replica, false},
		{"somebody else", http.MethodGet, leases, controlPlane.Config(), false},
	} {
		t.Run(test.what, func(t *testing.T) {
			if got := priorityOf(t, test.as, test.method, test.path); (got == string(level.UID)) != test.want {
				t.Errorf("the priority level is %q, and leader-election is %q; want it to be that: %t", got, level.UID, test.want)
			}
		})
	}
}

// priorityOf returns the UID of the priority level that a request got. How it was answered does not matter.
func priorityOf(t *testing.T, config *rest.Config, method, path string) string {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, config.Host+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.Header.Get("X-Kubernetes-PF-PriorityLevel-UID")
}
