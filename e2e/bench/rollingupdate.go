// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/e2e/fleet"
)

const (
	// unmoved is how long nothing has moved before an old replica is ended, which a Deployment comes close to with a
	// minReadySeconds of 30. The part "rollout" waits as long.
	unmoved      = 15 * time.Second
	unmovedQuick = time.Second
	// unevenAfterUpdate is by how many shards the replicas' shares may differ then. The other target, movesPerShard, is that of the
	// part "rollout", too.
	unevenAfterUpdate = 1
)

// What the Deployment controller notes on its ReplicaSets.
const (
	annotationRevision = "deployment.kubernetes.io/revision"
	annotationDesired  = "deployment.kubernetes.io/desired-replicas"
)

// replicaSet makes one as the Deployment controller does, which is not running. So nothing makes Pods of it, but whoever looks
// for the revision of a Pod finds it, and how many replicas there are to be.
func (s *spread) replicaSet(ctx context.Context, revision int) (*appsv1.ReplicaSet, error) {
	name := fmt.Sprintf("v%d", revision)
	labels := map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: name}
	set := &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: map[string]string{
			annotationRevision: strconv.Itoa(revision), annotationDesired: strconv.Itoa(s.replicas),
		}},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To(int32(0)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "controller", Image: "never-pulled"}}},
			},
		},
	}
	set, err := s.kube.AppsV1().ReplicaSets(s.fleet.Namespace()).Create(ctx, set, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("make a ReplicaSet: %w", err)
	}
	return set, nil
}

// podOf is a Pod of the ReplicaSet.
func podOf(set *appsv1.ReplicaSet, name string) fleet.Pod {
	return fleet.Pod{
		Name: name, Labels: set.Spec.Template.Labels,
		Owners: []metav1.OwnerReference{*metav1.NewControllerRef(set, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))},
	}
}

// update replaces all replicas as a Deployment with maxSurge 1 and maxUnavailable 0: one of the next revision is started, one of
// the old is ended when that is available, and so on.
func (s *spread) update(ctx context.Context) error {
	after, err := s.replicaSet(ctx, 2)
	if err != nil {
		return err
	}
	began, old := time.Now(), slices.Clone(s.running)
	for i := range old {
		next, err := s.launchOf(ctx, after, i)
		if err != nil {
			return err
		}
		if err := s.awaitAvailable(ctx, next); err != nil {
			return err
		}
		if old, err = s.endOne(ctx, old); err != nil {
			return err
		}
	}
	if err := s.awaitUnmoved(ctx); err != nil {
		return err
	}
	h, err := s.history()
	if err != nil {
		return err
	}
	now, err := s.sharesNow()
	if err != nil {
		return err
	}
	moved := s.figure("moves_per_shard_in_update", "", float64(h.moves(began))/float64(s.shards))
	uneven := s.figure("most_minus_least_after_update", "", float64(now.difference()))
	if s.who.ours() {
		moved, uneven = moved.atMost(movesPerShard), uneven.atMost(unevenAfterUpdate)
	}
	s.figures = append(s.figures, moved, uneven)
	return s.noteShares("update")
}

// awaitAvailable waits until an old replica may be ended because of a new one. With the others that may have got something: it
// is started as soon as an old one has given its Leases back, and may be the first to ask for them.
func (s *spread) awaitAvailable(ctx context.Context, next *fleet.Replica) (err error) {
	if s.who.ours() {
		err = (&trial{group: s.group, who: s.who}).awaitStandBy(ctx, next.Name())
	} else {
		err = s.awaitDecided(ctx, s.who, 0, s.names()...)
	}
	if err != nil {
		return err
	}
	return s.awaitUnmoved(ctx)
}

// awaitUnmoved waits until every shard is worked for and nothing has moved for a while from now on.
func (s *spread) awaitUnmoved(ctx context.Context) error {
	quiet := unmoved
	if s.b.quick {
		quiet = unmovedQuick
	}
	began, names := time.Now(), s.names()
	return s.await(ctx, fmt.Sprintf("nothing to move for %s", quiet), func(h history) error {
		_, now := h.evenSince(s.shards, names)
		held := 0
		for _, name := range names {
			held += now[name]
		}
		if held < s.shards {
			return fmt.Errorf("the shares are %v", now)
		}
		if since := time.Since(h.changed(began)); since < quiet {
			return fmt.Errorf("something has moved %s ago", since.Round(time.Millisecond))
		}
		return nil
	})
}

// endOne ends the old replica that the ReplicaSet controller would, and returns the others. All of them are ready.
func (s *spread) endOne(ctx context.Context, old []*fleet.Replica) ([]*fleet.Replica, error) {
	ranked := make([]oldPod, len(old))
	for i, r := range old {
		pod, err := s.kube.CoreV1().Pods(s.fleet.Namespace()).Get(ctx, r.Name(), metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("deletion cost: %w", err)
		}
		ranked[i].restarted = r == s.restarted
		if ranked[i].cost, err = strconv.Atoi(cmp.Or(pod.Annotations[corev1.PodDeletionCost], "0")); err != nil {
			return nil, fmt.Errorf("deletion cost of %s: %w", r.Name(), err)
		}
	}
	victim := old[firstToEnd(ranked)]
	is := func(r *fleet.Replica) bool { return r == victim }
	s.running = slices.DeleteFunc(s.running, is)
	return slices.DeleteFunc(slices.Clone(old), is), end(ctx, victim)
}

// oldPod is what Pods of one ReplicaSet are ranked by when there are too many of them.
type oldPod struct {
	cost      int // controller.kubernetes.io/pod-deletion-cost: shardctl marks those that are emptied
	restarted bool
}

// firstToEnd is the Pod that the ReplicaSet controller ends first, of some that are ready and listed oldest first: one that costs
// least to delete, of those one that was restarted (which was ready for less time, too), of those the youngest. In a rolling
// update the Pods of the old ReplicaSet are ranked among themselves. That here no two are on the same node changes nothing: they
// would be ranked by that before restarts and age.
func firstToEnd(pods []oldPod) int {
	first := 0
	for i, p := range pods {
		least := pods[first]
		if p.cost < least.cost || p.cost == least.cost && (p.restarted || !least.restarted) {
			first = i
		}
	}
	return first
}

// changed is when work last began or ended, but not before the given instant.
func (h history) changed(since time.Time) time.Time {
	for _, e := range h {
		if e.Kind != watching && e.At.After(since) {
			since = e.At
		}
	}
	return since
}

// moves is how often shards changed hands from an instant on. To be started again by whoever had it last is no move.
func (h history) moves(since time.Time) int {
	n, last := 0, map[string]string{}
	for _, e := range h {
		if e.Kind != started {
			continue
		}
		if before := last[e.Shard]; before != "" && before != e.replica && e.At.After(since) {
			n++
		}
		last[e.Shard] = e.replica
	}
	return n
}
