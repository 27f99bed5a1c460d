// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	appsclient "k8s.io/client-go/kubernetes/typed/apps/v1"
	coreclient "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// workloadTimeout bounds one request on the Pod or on what controls it.
const workloadTimeout = 3 * time.Second

// workload is the replica's own Pod, and what controls that.
type workload struct {
	pods      coreclient.PodInterface
	sets      appsclient.ReplicaSetInterface
	revisions appsclient.ControllerRevisionInterface
	pod       string
	uid       types.UID
}

// newWorkload returns nil outside of any Pod.
func newWorkload(cfg *rest.Config, o *GroupOptions) (*workload, error) {
	if o.PodUID == "" {
		return nil, nil
	}
	own := rest.CopyConfig(cfg)
	own.QPS = -1 // a handful of requests: they wait for no rate limiter
	own.RateLimiter = nil
	own.Timeout = workloadTimeout
	core, err := coreclient.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("client for the Pod: %w", err)
	}
	apps, err := appsclient.NewForConfig(own)
	if err != nil {
		return nil, fmt.Errorf("client for what controls the Pod: %w", err)
	}
	return workloadOf(core, apps, o), nil
}

func workloadOf(core coreclient.PodsGetter, apps appsclient.AppsV1Interface, o *GroupOptions) *workload {
	return &workload{
		pods: core.Pods(o.Namespace), sets: apps.ReplicaSets(o.Namespace), revisions: apps.ControllerRevisions(o.Namespace),
		pod: o.Pod, uid: o.PodUID,
	}
}

// errNotOwn: there is a Pod of the replica's name, but it is another one.
var errNotOwn = errors.New("it is not this replica's: check POD_NAME and POD_UID")

// own reads the Pod that this process runs in.
func (w *workload) own(ctx context.Context) (*corev1.Pod, error) {
	ctx, cancel := context.WithTimeout(ctx, workloadTimeout)
	defer cancel()
	pod, err := w.pods.Get(ctx, w.pod, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get Pod %s: %w", w.pod, err)
	}
	if pod.UID != w.uid {
		return nil, fmt.Errorf("pod %s has the UID %s, want %s: %w", w.pod, pod.UID, w.uid, errNotOwn)
	}
	return pod, nil
}

// passing tells whether the same request may succeed soon: the API server did not
// answer, or not to it.
func passing(err error) bool {
	if err == nil || errors.Is(err, errNotOwn) || errors.Is(err, errNoRevision) {
		return false
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	code := status.Status().Code
	return code >= 500 || apierrors.IsTooManyRequests(err) || apierrors.IsConflict(err) || apierrors.IsTimeout(err)
}

// permissionFor names the permission that was missing, empty if it was not that.
func permissionFor(verb string, err error) string {
	var status apierrors.APIStatus
	if !apierrors.IsForbidden(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return ""
	}
	about := status.Status().Details
	return verb + " " + schema.GroupResource{Group: about.Group, Resource: about.Kind}.String()
}
