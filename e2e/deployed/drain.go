// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// testNodeDrained does what `kubectl drain` does. The replica gives everything away and is replaced on another node. Until then the
// PodDisruptionBudget lets no other replica be evicted.
func (s *suite) testNodeDrained(t *testing.T) {
	victim := s.busiest(t, s.awaitShared(t, replicas))
	node := victim.Spec.NodeName
	t.Cleanup(func() {
		if err := s.setUnschedulable(context.WithoutCancel(t.Context()), node, false); err != nil {
			t.Error(err)
		}
	})
	moved := s.during(t, func() {
		if err := s.setUnschedulable(t.Context(), node, true); err != nil {
			t.Fatal(err)
		}
		drained := s.evictAll(t, node)
		s.expectBudget(t, drained)
		s.awaitShared(t, replicas)
		s.expectWork(t)
	})
	moved.logMoves(t, s.shards)
	moved.expectGivenAway(t)
	for _, name := range s.podNames(t) {
		if pod := s.pod(t, name); pod.Spec.NodeName == node {
			t.Errorf("%s is on %s, which is drained", name, node)
		}
	}
}

// evictAll evicts the Deployment's Pods on a node, each as soon as the budget allows it, and returns their names.
func (s *suite) evictAll(t *testing.T, node string) (evicted []string) {
	t.Helper()
	pods, err := s.pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods {
		if pods[i].Spec.NodeName != node {
			continue
		}
		eventually(t, pods[i].Name+" is evicted", func(ctx context.Context) error { return s.evict(ctx, &pods[i]) })
		evicted = append(evicted, pods[i].Name)
	}
	return evicted
}

func (s *suite) evict(ctx context.Context, pod *corev1.Pod, dryRun ...string) error {
	return s.kube.PolicyV1().Evictions(namespace).Evict(ctx, &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name},
		DeleteOptions: &metav1.DeleteOptions{DryRun: dryRun},
	})
}

// expectBudget asks for the eviction of another replica, right after the others'. (What is not ready may always be evicted.)
func (s *suite) expectBudget(t *testing.T, evicted []string) {
	t.Helper()
	pods, err := s.pods(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(pods, func(pod corev1.Pod) bool { return isReady(&pod) && !slices.Contains(evicted, pod.Name) })
	if i < 0 {
		t.Fatal("no replica is left whose eviction could be tried")
	}
	if err := s.evict(t.Context(), &pods[i], metav1.DryRunAll); !apierrors.IsTooManyRequests(err) {
		t.Errorf("the eviction of %s while %v are being replaced got %v, want that the budget does not allow it", pods[i].Name, evicted, orOK(err))
	}
}

func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// orOK makes the absence of an error readable.
func orOK(err error) error {
	if err == nil {
		return errOK
	}
	return err
}

var errOK = errors.New("OK")
