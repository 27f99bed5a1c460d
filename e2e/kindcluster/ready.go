// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	readyPoll  = 200 * time.Millisecond
	readyLimit = 3 * time.Minute
)

// awaitNodes waits for all nodes, for kind itself waits for the control plane at most.
func (c *Cluster) awaitNodes(ctx context.Context) error {
	var unready []string
	err := wait.PollUntilContextTimeout(ctx, readyPoll, readyLimit, true, func(ctx context.Context) (bool, error) {
		list, err := c.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		unready = nil
		for i := range list.Items {
			if !isReady(&list.Items[i]) {
				unready = append(unready, list.Items[i].Name)
			}
		}
		return len(list.Items) == len(c.nodes) && len(unready) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("wait until the nodes of cluster %s are ready, which %v are not: %w", c.options.Name, unready, err)
	}
	return nil
}

func isReady(node *corev1.Node) bool {
	return slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}
