// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"fmt"
	"runtime"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

const (
	// heartbeatsPerGrace is how often a node reports within the time after which it is given up.
	heartbeatsPerGrace = 5
	// statusEvery is how many heartbeats there are for one full report of the node's status.
	statusEvery = 10
)

// heartbeat says how a node shows that it is alive.
type heartbeat struct {
	interval time.Duration
	grace    time.Duration // written into the node's Lease
}

func nodeCapacity() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("8"),
		corev1.ResourceMemory:           resource.MustParse("16Gi"),
		corev1.ResourceEphemeralStorage: resource.MustParse("64Gi"),
		corev1.ResourcePods:             resource.MustParse("110"),
	}
}

// register creates the Node and its Lease.
func (k *kubelet) register(ctx context.Context) error {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: k.name, Labels: map[string]string{
			corev1.LabelHostname:     k.name,
			corev1.LabelOSStable:     runtime.GOOS,
			corev1.LabelArchStable:   runtime.GOARCH,
			corev1.LabelTopologyZone: fmt.Sprintf("zone-%d", k.network.number),
		}},
		Status: k.nodeStatus(metav1.Now()),
	}
	node, err := k.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: k.name, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID,
		}}},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       &k.name,
			LeaseDurationSeconds: ptr.To(int32(max(1, k.heartbeat.grace/time.Second))),
			RenewTime:            ptr.To(metav1.NowMicro()),
		},
	}
	_, err = k.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(ctx, lease, metav1.CreateOptions{})
	return err
}

func (k *kubelet) nodeStatus(readySince metav1.Time) corev1.NodeStatus {
	now := metav1.Now()
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason string) corev1.NodeCondition {
		return corev1.NodeCondition{
			Type: kind, Status: status, Reason: reason, Message: "a stand-in for a kubelet says so",
			LastHeartbeatTime: now, LastTransitionTime: readySince,
		}
	}
	return corev1.NodeStatus{
		Capacity:    nodeCapacity(),
		Allocatable: nodeCapacity(),
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID"),
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady"),
		},
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: k.network.ip().String()},
			{Type: corev1.NodeExternalIP, Address: nodeAPIAddress}, // which is where the API server finds it
			{Type: corev1.NodeHostName, Address: k.name},
		},
		DaemonEndpoints: k.api.endpoints(),
		NodeInfo: corev1.NodeSystemInfo{
			OperatingSystem: runtime.GOOS, Architecture: runtime.GOARCH, OSImage: "processes of this machine",
			KubeletVersion: k.version, ContainerRuntimeVersion: runtimeScheme + k.version,
		},
	}
}

// beat shows that the node is alive until ctx is done. After a failure all connections are made anew, as by a kubelet: those of
// a network that was cut may not have noticed.
func (k *kubelet) beat(ctx context.Context) error {
	for count := 0; pause(ctx, k.heartbeat.interval); count++ {
		err := k.renew(ctx)
		if err == nil {
			err = k.reportNode(ctx, count%statusEvery == 0)
		}
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "heartbeat")
			k.dialer.CloseAll()
		}
	}
	return nil
}

func (k *kubelet) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	leases := k.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease, err := leases.Get(ctx, k.name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("renew the node's Lease: %w", err)
	}
	lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
	if _, err := leases.Update(ctx, lease, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("renew the node's Lease: %w", err)
	}
	return nil
}

// reportNode writes the node's status if it is time for that, or if somebody has written that the node is not ready.
func (k *kubelet) reportNode(ctx context.Context, due bool) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	nodes := k.client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, k.name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("report the node's status: %w", err)
	}
	since := metav1.Now()
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			since = condition.LastTransitionTime
			if !due {
				return nil
			}
		}
	}
	node.Status = k.nodeStatus(since)
	if _, err := nodes.UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("report the node's status: %w", err)
	}
	return nil
}
