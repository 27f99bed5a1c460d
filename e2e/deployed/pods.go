// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
)

// pods are those of the Deployment, by name, also those that are being deleted.
func (s *suite) pods(ctx context.Context) ([]corev1.Pod, error) {
	list, err := s.kube.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=" + name})
	if err != nil {
		return nil, fmt.Errorf("list Pods: %w", err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return list.Items, nil
}

// podNames are those of the Pods that there are.
func (s *suite) podNames(t *testing.T) (names []string) {
	t.Helper()
	pods, err := s.pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods {
		names = append(names, pods[i].Name)
	}
	return names
}

func (s *suite) pod(t *testing.T, name string) *corev1.Pod {
	t.Helper()
	pod, err := s.kube.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// awaitPods waits until the Deployment has rolled out what it says, with so many replicas, and no other Pod of it is left.
func (s *suite) awaitPods(t *testing.T, replicas int) {
	t.Helper()
	eventually(t, fmt.Sprintf("all %d Pods of the Deployment are available, and no others are there", replicas), func(ctx context.Context) error {
		d, err := s.kube.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if now, n := d.Status, int32(replicas); now.ObservedGeneration < d.Generation || now.Replicas != n || now.UpdatedReplicas != n || now.AvailableReplicas != n {
			return fmt.Errorf("its status is %+v", now)
		}
		pods, err := s.pods(ctx)
		if err != nil {
			return err
		}
		if len(pods) != replicas {
			return fmt.Errorf("there are %d Pods", len(pods))
		}
		return nil
	})
}

// awaitShared waits until all Pods are there and share the shards evenly.
func (s *suite) awaitShared(t *testing.T, replicas int) status.Status {
	t.Helper()
	s.awaitPods(t, replicas)
	return s.await(t, fmt.Sprintf("%d replicas share the %d shards evenly", replicas, s.shards), balanced(s.shards, replicas), fleet.Healthy)
}

// busiest is the Pod of the live member with the most shards.
func (s *suite) busiest(t *testing.T, now status.Status) *corev1.Pod {
	t.Helper()
	return s.pod(t, slices.MaxFunc(now.Members, func(a, b status.Member) int { return a.Shards - b.Shards }).Pod)
}

// restartsOf is how often the kubelet has restarted the Pod's container.
func restartsOf(pod *corev1.Pod) int {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == name {
			return int(c.RestartCount)
		}
	}
	return 0
}

// setUnschedulable cordons a node or ends that.
func (s *suite) setUnschedulable(ctx context.Context, node string, unschedulable bool) error {
	patch := fmt.Appendf(nil, `{"spec":{"unschedulable":%t}}`, unschedulable)
	if _, err := s.kube.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("cordon or uncordon node %s: %w", node, err)
	}
	return nil
}
