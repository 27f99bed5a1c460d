// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// testPodDeleted deletes a Pod as `kubectl delete pod` does. It gives everything away before it ends.
func (s *suite) testPodDeleted(t *testing.T) {
	victim := s.busiest(t, s.awaitShared(t, replicas))
	start := time.Now()
	moved := s.during(t, func() {
		if err := s.kube.CoreV1().Pods(namespace).Delete(t.Context(), victim.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		s.awaitShared(t, replicas)
		s.expectWork(t)
	})
	moved.of(victim.Name).logSince(t, "the deletion", start)
	moved.logMoves(t, s.shards)
	moved.expectGivenAway(t)
}

// testProcessKilled kills the process of a replica, of which nothing but the kubelet tells. It is known to be dead, so nobody waits
// for its session to expire: the others take its shards when they see what the kubelet reports, or its successor in the same Pod
// takes them back, whoever is first.
func (s *suite) testProcessKilled(t *testing.T) {
	before := s.awaitShared(t, replicas)
	victim := s.busiest(t, before)
	session := sessionOf(before, victim.Name)
	expired := s.sumOfOthers(t, victim.Name, "expired")
	dead := s.sumOfOthers(t, victim.Name, "dead")
	restarts := restartsOf(victim)
	start := time.Now()
	changed := s.during(t, func() {
		if err := s.KillProcess(t.Context(), victim); err != nil {
			t.Fatal(err)
		}
		s.awaitJoined(t, victim.Name, session)
		s.awaitShared(t, replicas)
		s.expectWork(t)
	})
	if is := restartsOf(s.pod(t, victim.Name)); is != restarts+1 {
		t.Errorf("the container was restarted %d times, want once", is-restarts)
	}
	lost := changed.from(session)
	lost.logSince(t, "the kill", start)
	if len(lost) == 0 {
		t.Error("no shard changed hands: the replica that was killed had none, or has kept its session")
	}
	lost.expectTaken(t)
	if s.sumOfOthers(t, victim.Name, "expired") != expired {
		t.Error("a replica waited for the session to expire, although the kubelet reported its end")
	}
	if s.sumOfOthers(t, victim.Name, "dead") == dead && s.sessionsEnded(t, victim.Name, "predecessor") == 0 {
		t.Error("nobody counts to have ended the session because it was known to be over")
	}
}

// sumOfOthers is how many sessions all replicas but one have ended for a reason.
func (s *suite) sumOfOthers(t *testing.T, but, reason string) (sum float64) {
	t.Helper()
	for _, pod := range s.podNames(t) {
		if pod != but {
			sum += s.sessionsEnded(t, pod, reason)
		}
	}
	return sum
}

// sessionsEnded is how many sessions of others a replica has ended for a reason, since it started.
func (s *suite) sessionsEnded(t *testing.T, pod, reason string) float64 {
	t.Helper()
	return s.counter(t, pod, "shardctl_sessions_ended_total", map[string]string{"reason": reason})
}
