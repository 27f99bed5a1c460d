// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

// emptiedCost is the controller.kubernetes.io/pod-deletion-cost (KEP-2255) of a
// Pod that newer ones have taken everything from: lower than that of all others,
// which have 0, so that a Deployment that scales its old ReplicaSet down begins
// with the Pods that cost nothing. It also tells our mark from anybody else's.
const emptiedCost = "-100"

// costBackoff spaces and limits the attempts to set or to remove a mark: about two
// minutes in all. Then it stays as it is until there is another wish.
var costBackoff = wait.Backoff{Duration: time.Second, Factor: 2, Jitter: 0.5, Steps: 7}

// costMark keeps the deletion cost of the replica's own Pod. It is a help, not a
// need: without it the Deployment picks any Pod, and its shards move once more.
type costMark struct {
	workload *workload
	wanted   latest // whether the Pod is to have it
}

func newCostMark(w *workload) *costMark { return &costMark{workload: w, wanted: newLatest()} }

// markLoop brings the mark to what was wished last, until ctx is done.
func (m *costMark) markLoop(ctx context.Context) error {
	log := klog.FromContext(ctx)
	var want bool
	var pause wait.Backoff
	var again <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case want = <-m.wanted:
			pause = costBackoff
		case <-again:
		}
		again = nil
		err := m.set(ctx, want)
		switch {
		case err == nil, ctx.Err() != nil: // done, or cut short
		case passing(err) && pause.Steps > 0:
			log.V(2).Info("The Pod's deletion cost is not set yet", "emptied", want, "err", err)
			again = time.After(pause.Step())
		case apierrors.IsForbidden(err):
			log.Info("The Pod's deletion cost is not set, for want of a permission: a Deployment may delete Pods that hold shards before those that hold none",
				"emptied", want, "permission", permissionFor("get and patch", err), "err", err)
		default:
			log.Info("The Pod's deletion cost is not set: a Deployment may delete Pods that hold shards before those that hold none", "emptied", want, "err", err)
		}
	}
}

// set adds or removes the mark, unless somebody else has set another cost.
func (m *costMark) set(ctx context.Context, want bool) error {
	pod, err := m.workload.own(ctx)
	if err != nil {
		return err
	}
	cost, has := pod.Annotations[corev1.PodDeletionCost]
	switch marked := has && cost == emptiedCost; {
	case has && !marked:
		klog.FromContext(ctx).Info("The Pod's deletion cost stays as somebody else has set it", "cost", cost)
		return nil
	case marked == want:
		return nil
	}
	value := ptr.To(emptiedCost)
	if !want {
		value = nil // which removes the annotation
	}
	// The UID and the resourceVersion make it this very Pod, as it was just read.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "resourceVersion": pod.ResourceVersion,
		"annotations": map[string]*string{corev1.PodDeletionCost: value},
	}})
	if err != nil {
		return fmt.Errorf("patch for Pod %s: %w", pod.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, workloadTimeout)
	defer cancel()
	if _, err := m.workload.pods.Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		if apierrors.IsNotFound(err) {
			return nil // it was deleted meanwhile
		}
		return fmt.Errorf("patch Pod %s: %w", pod.Name, err)
	}
	klog.FromContext(ctx).Info("The Pod's deletion cost is set", "emptied", want)
	return nil
}
