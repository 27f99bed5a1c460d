// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
)

func (c *cluster) namespace(t *testing.T) string {
	t.Helper()
	namespace, err := c.client.CoreV1().Namespaces().
		Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the namespace has its service account", func(ctx context.Context) (bool, error) {
		_, err := c.client.CoreV1().ServiceAccounts(namespace.Name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, ignoreNotFound(err)
	})
	return namespace.Name
}

// pod is one that is ready as soon as it serves. A test changes what it is about.
func pod(change func(*corev1.PodSpec, *corev1.Container)) *corev1.Pod {
	container := corev1.Container{
		Name:  "main",
		Image: image,
		Args:  []string{fmt.Sprint(port)},
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: port}},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/health", Port: intstr.FromString("http")}},
			PeriodSeconds: 1,
		},
	}
	spec := corev1.PodSpec{TerminationGracePeriodSeconds: ptr.To(int64(10))}
	if change != nil {
		change(&spec, &container)
	}
	spec.Containers = []corev1.Container{container}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod"}, Spec: spec}
}

func (c *cluster) create(t *testing.T, namespace string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	created, err := c.client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// await returns the Pod as it is once the condition holds.
func (c *cluster) await(t *testing.T, pod *corev1.Pod, what string, holds func(*corev1.Pod) bool) *corev1.Pod {
	t.Helper()
	var last *corev1.Pod
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patient, true, func(ctx context.Context) (done bool, err error) {
		last, err = c.client.CoreV1().Pods(pod.Namespace).Get(ctx, pod.Name, metav1.GetOptions{})
		return err == nil && holds(last), err
	})
	if err != nil {
		status, _ := json.MarshalIndent(last.Status, "", " ")
		t.Fatalf("Pod %s: waited until %s: %v; its status is %s", pod.Name, what, err, status)
	}
	return last
}

func eventually(t *testing.T, what string, condition wait.ConditionWithContextFunc) {
	t.Helper()
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patient, true, condition); err != nil {
		t.Fatalf("waited until %s: %v", what, err)
	}
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// running creates a Pod in a namespace of its own and waits until it is ready.
func (c *cluster) running(t *testing.T, change func(*corev1.PodSpec, *corev1.Container)) *corev1.Pod {
	t.Helper()
	return c.await(t, c.create(t, c.namespace(t), pod(change)), "it is ready", isReady)
}

// ask has the program in the Pod do something.
func ask[T any](t *testing.T, c *cluster, pod *corev1.Pod, what string, form url.Values) T {
	t.Helper()
	answer, err := c.Get(t.Context(), pod, "http", what+"?"+form.Encode())
	if err != nil {
		t.Fatal(err)
	}
	var value T
	if err := json.Unmarshal(answer, &value); err != nil {
		t.Fatalf("%s answered %q: %v", what, answer, err)
	}
	return value
}

func path(path string) url.Values { return url.Values{"path": {path}} }
