// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"context"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// port is the name of shardctl's in its container.
const port = "http"

// Get asks the Pod by way of the API server, since Pods cannot be reached from outside.
func (c *Cluster) Get(ctx context.Context, pod *corev1.Pod, path string) ([]byte, error) {
	for _, container := range pod.Spec.Containers {
		for _, p := range container.Ports {
			if p.Name == port {
				number := strconv.Itoa(int(p.ContainerPort))
				return c.client.CoreV1().Pods(pod.Namespace).ProxyGet("http", pod.Name, number, path, nil).DoRaw(ctx)
			}
		}
	}
	return nil, fmt.Errorf("no port named %s in Pod %s", port, pod.Name)
}
