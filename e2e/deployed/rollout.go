// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/internal/status"
)

// How often shards may move in a rolling update: about once. A replica that is deleted before it was emptied, since it was the
// Deployment controller's choice, gives what it has to the new ones that there are, which share it with the next.
const (
	mostMoves = 2
	meanMoves = 1.3
)

// testRollingUpdate applies the manifests again with another image.
func (s *suite) testRollingUpdate(t *testing.T) {
	s.awaitShared(t, replicas)
	old := s.podNames(t)
	deployment, err := s.manifests.find("Deployment", name)
	if err != nil {
		t.Fatal(err)
	}
	second := deployment.DeepCopy()
	if err := setImage(second, name, s.SecondImage()); err != nil {
		t.Fatal(err)
	}
	moved := s.during(t, func() {
		if err := s.apply(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		s.awaitShared(t, replicas)
		s.expectWork(t)
	})
	for _, pod := range s.podNames(t) {
		if slices.Contains(old, pod) {
			t.Errorf("%s is one of the old Pods", pod)
		}
	}
	moved.expectGivenAway(t)
	moved.expectMoves(t, s.shards, mostMoves, meanMoves)
	if least := len(moved.moves()); least < s.shards {
		t.Errorf("%d of %d shards have moved, though all Pods are new", least, s.shards)
	}
}

// testScaled goes up, where newcomers get their shares and nothing else moves, then down, where those that leave give away what they
// have; and back.
func (s *suite) testScaled(t *testing.T) {
	s.awaitShared(t, replicas)
	const more, fewer = 5, 2
	old := s.podNames(t)
	up := s.during(t, func() { s.scale(t, more) })
	up.logMoves(t, s.shards)
	up.expectGivenAway(t)
	for _, c := range up {
		if to := status.PodOf(c.after.holder); slices.Contains(old, to) {
			t.Errorf("a shard moved to a Pod that was there before: %s", c)
		}
	}
	down := s.during(t, func() { s.scale(t, fewer) })
	down.expectGivenAway(t)
	// Those that leave at once may give a shard to each other, but to none twice.
	const leavers = more - fewer
	if _, most := down.logMoves(t, s.shards); most > leavers {
		t.Errorf("a shard moved %d times while %d replicas left: %v", most, leavers, down)
	}
	s.during(t, func() { s.scale(t, replicas) }).expectGivenAway(t)
}

func (s *suite) scale(t *testing.T, to int) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, to)
	if _, err := s.kube.AppsV1().Deployments(namespace).Patch(t.Context(), name, types.MergePatchType, patch, metav1.PatchOptions{}, "scale"); err != nil {
		t.Fatal(err)
	}
	s.awaitShared(t, to)
	s.expectWork(t)
}
