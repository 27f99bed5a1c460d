// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/pkg/lease"
)

// What the Deployment controller notes on its ReplicaSets (RevisionAnnotation and
// DesiredReplicasAnnotation of k8s.io/kubectl/pkg/util/deployment).
const (
	annotationRevision = "deployment.kubernetes.io/revision"
	annotationDesired  = "deployment.kubernetes.io/desired-replicas"
)

// revision is what the cluster says of the version that this replica runs.
type revision struct {
	number   int64
	replicas int // how many of that version there are to be; 0: not known
	// marked: the Pod says that it is to be deleted first, see [costMark].
	marked bool
}

// errNoRevision: nothing in the cluster says which revision the Pod is of.
var errNoRevision = errors.New("nothing says which revision the Pod is of")

// revisionBackoff: an API server that gives no answer is asked again for some two
// minutes in all. Nothing can be led meanwhile either.
var revisionBackoff = wait.Backoff{Duration: 200 * time.Millisecond, Factor: 1.5, Jitter: 0.5, Steps: 14}

// revision asks the cluster which version this replica is of.
func (w *workload) revision(ctx context.Context) (found revision, err error) {
	// What it returns says only that there is an answer, or will be none.
	_ = wait.ExponentialBackoffWithContext(ctx, revisionBackoff, func(ctx context.Context) (bool, error) {
		found, err = w.read(ctx)
		return !passing(err), nil
	})
	return found, err
}

// runsAs says what Pod the replica runs in, if any.
func (g *Group) runsAs(w *workload) {
	if w != nil {
		g.reviser, g.cost = newReviser(w), newCostMark(w)
	}
}

// join makes the driver, now that the cluster may be asked what this replica is.
func (g *Group) join(ctx context.Context) error {
	o := g.driving
	if g.reviser != nil {
		found := g.reviser.first(ctx, g.opts.Revision)
		o.Election.Revision, o.Election.TargetReplicas = found.number, found.replicas
		if found.marked {
			g.cost.wanted.say(false) // that was for the last process of this Pod
		}
	}
	driver, err := lease.NewDriver(o)
	if err != nil {
		return fmt.Errorf("group %q: %w", g.opts.Name, err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.driver = driver
	return nil
}

// read reads the Pod and what controls it.
func (w *workload) read(ctx context.Context) (revision, error) {
	pod, err := w.own(ctx)
	if err != nil {
		return revision{}, err
	}
	owner := metav1.GetControllerOf(pod)
	if owner == nil {
		return revision{}, fmt.Errorf("pod %s has no controller: %w", pod.Name, errNoRevision)
	}
	ctx, cancel := context.WithTimeout(ctx, workloadTimeout)
	defer cancel()
	var found revision
	hash := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	switch owner.APIVersion + " " + owner.Kind {
	case "apps/v1 ReplicaSet":
		found, err = w.ofReplicaSet(ctx, pod, owner)
	case "apps/v1 StatefulSet":
		found, err = w.ofControllerRevision(ctx, hash, owner.UID)
	case "apps/v1 DaemonSet":
		found, err = w.ofControllerRevision(ctx, owner.Name+"-"+hash, owner.UID)
	default:
		err = fmt.Errorf("pod %s is controlled by a %s of %s: %w", pod.Name, owner.Kind, owner.APIVersion, errNoRevision)
	}
	found.marked = pod.Annotations[corev1.PodDeletionCost] == emptiedCost
	return found, err
}

// ofReplicaSet reads what the Deployment controller notes.
func (w *workload) ofReplicaSet(ctx context.Context, pod *corev1.Pod, owner *metav1.OwnerReference) (revision, error) {
	set, err := w.sets.Get(ctx, owner.Name, metav1.GetOptions{})
	if err != nil {
		return revision{}, fmt.Errorf("get ReplicaSet %s: %w", owner.Name, err)
	}
	const hash = appsv1.DefaultDeploymentUniqueLabelKey
	if set.UID != owner.UID || set.Labels[hash] != pod.Labels[hash] {
		return revision{}, fmt.Errorf("ReplicaSet %s is not the one that has made Pod %s, or has another %s: %w", set.Name, pod.Name, hash, errNoRevision)
	}
	number, err := strconv.ParseInt(set.Annotations[annotationRevision], 10, 64)
	if err != nil {
		return revision{}, fmt.Errorf("ReplicaSet %s has no %s, as those of a Deployment do: %w", set.Name, annotationRevision, errNoRevision)
	}
	found := revision{number: number}
	if n, err := strconv.ParseUint(set.Annotations[annotationDesired], 10, 31); err == nil {
		found.replicas = int(n)
	}
	return found, nil
}

// ofControllerRevision reads what the controllers of StatefulSets and DaemonSets
// keep: the Pods of the former are labelled with its name, those of the latter
// with its hash.
func (w *workload) ofControllerRevision(ctx context.Context, name string, owner types.UID) (revision, error) {
	kept, err := w.revisions.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return revision{}, fmt.Errorf("get ControllerRevision %s: %w", name, err)
	}
	if by := metav1.GetControllerOf(kept); by == nil || by.UID != owner {
		return revision{}, fmt.Errorf("ControllerRevision %s is somebody else's: %w", name, errNoRevision)
	}
	return revision{number: kept.Revision}, nil
}
