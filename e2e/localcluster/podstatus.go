// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// sendStatus reports the Pod's status if it differs from the last one. Conditions of others stay as they are.
func (w *worker) sendStatus(ctx context.Context) error {
	status := w.status()
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": w.pod.UID}, // so that it can hit no other Pod of that name
		"status":   status,
	})
	if err != nil {
		return fmt.Errorf("encode status: %w", err)
	}
	if bytes.Equal(patch, w.reported) && w.seenAs(status.Conditions) {
		return nil // a probe has found what it found before
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = w.kubelet.client.CoreV1().Pods(w.pod.Namespace).
		Patch(ctx, w.pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if err == nil {
		w.reported = patch
	}
	return err
}

// seenAs tells whether the Pod has these conditions, for all that is known here. Others change them, too: while a node is cut off,
// its Pods are not ready.
func (w *worker) seenAs(conditions []corev1.PodCondition) bool {
	w.mu.Lock()
	seen := w.lastSeen.Status.Conditions
	w.mu.Unlock()
	return !slices.ContainsFunc(conditions, func(own corev1.PodCondition) bool {
		return !slices.ContainsFunc(seen, func(c corev1.PodCondition) bool { return c.Type == own.Type && c.Status == own.Status })
	})
}

func (w *worker) status() corev1.PodStatus {
	w.mu.Lock()
	prepared, objection, generation := w.prepared, w.objection, w.lastSeen.Generation
	w.mu.Unlock()
	hostIP := w.kubelet.network.ip().String()
	status := corev1.PodStatus{
		ObservedGeneration:    generation,
		HostIP:                hostIP,
		HostIPs:               []corev1.HostIP{{IP: hostIP}},
		StartTime:             &w.began,
		InitContainerStatuses: currentOf(w.inits, objection),
		ContainerStatuses:     currentOf(w.containers, objection),
	}
	if prepared {
		ip := w.network.ip().String()
		status.PodIP, status.PodIPs = ip, []corev1.PodIP{{IP: ip}}
	}
	initialized, ready := w.initialized(status.InitContainerStatuses), allReady(status.ContainerStatuses)
	status.Phase = w.phase(initialized, status)
	status.Conditions = []corev1.PodCondition{
		w.condition(corev1.PodReadyToStartContainers, prepared, ""),
		w.condition(corev1.PodInitialized, initialized, "ContainersNotInitialized"),
		w.condition(corev1.ContainersReady, ready, "ContainersNotReady"),
		w.condition(corev1.PodReady, ready, "ContainersNotReady"),
	}
	return status
}

// currentOf returns the status of each container. What keeps all of them from being started stands with each.
func currentOf(containers []*container, objection string) []corev1.ContainerStatus {
	var statuses []corev1.ContainerStatus
	for _, c := range containers {
		status := c.current()
		if status.State.Waiting != nil && objection != "" {
			status.State.Waiting.Message = objection
		}
		statuses = append(statuses, status)
	}
	return statuses
}

// condition returns a condition since when it has been so.
func (w *worker) condition(kind corev1.PodConditionType, is bool, otherwise string) corev1.PodCondition {
	condition := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
	if !is {
		condition.Status, condition.Reason = corev1.ConditionFalse, otherwise
	}
	if before, ok := w.conditions[kind]; ok && before.Status == condition.Status {
		condition.LastTransitionTime = before.LastTransitionTime
	}
	w.conditions[kind] = condition
	return condition
}

func (w *worker) initialized(statuses []corev1.ContainerStatus) bool {
	for i, status := range statuses {
		ended := status.State.Terminated
		sidecar := w.inits[i].spec.RestartPolicy != nil
		if !sidecar && (ended == nil || ended.ExitCode != 0) || sidecar && !*status.Started {
			return false
		}
	}
	return true
}

func allReady(statuses []corev1.ContainerStatus) bool {
	for _, status := range statuses {
		if !status.Ready {
			return false
		}
	}
	return true
}

// phase follows https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase.
func (w *worker) phase(initialized bool, status corev1.PodStatus) corev1.PodPhase {
	ended, failed := 0, 0
	for _, s := range status.ContainerStatuses {
		switch {
		case s.State.Terminated != nil:
			ended++
			if s.State.Terminated.ExitCode != 0 {
				failed++
			}
		case s.State.Waiting != nil && s.LastTerminationState.Terminated == nil:
			if failedToInitialize(status.InitContainerStatuses) {
				return corev1.PodFailed
			}
			return corev1.PodPending
		}
	}
	switch {
	case !initialized && ended == 0:
		return corev1.PodPending
	case ended < len(status.ContainerStatuses):
		return corev1.PodRunning
	case failed > 0:
		return corev1.PodFailed
	default:
		return corev1.PodSucceeded
	}
}

// failedToInitialize tells whether an init container has failed that is not run again.
func failedToInitialize(statuses []corev1.ContainerStatus) bool {
	for _, s := range statuses {
		if s.State.Terminated != nil && s.State.Terminated.ExitCode != 0 {
			return true
		}
	}
	return false
}
