// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const maxAnswer = 16 << 20 // bytes that Get reads

// KillProcess sends SIGKILL to the main process of a container, of which nothing else is told: the node finds out.
func (c *Cluster) KillProcess(pod *corev1.Pod, container string) error {
	node, ok := c.nodes[pod.Spec.NodeName]
	if !ok {
		return fmt.Errorf("kill %s of Pod %s: there is no node %q", container, pod.Name, pod.Spec.NodeName)
	}
	w := node.worker(pod.UID)
	if w == nil {
		return fmt.Errorf("kill %s of Pod %s: %s does not run it", container, pod.Name, node.name)
	}
	if err := w.kill(container); err != nil {
		return fmt.Errorf("kill %s of Pod %s: %w", container, pod.Name, err)
	}
	return nil
}

// CutNode lets packets vanish between a node, with its kubelet and its Pods, and everything else, or ends that. Within the node
// everything goes on.
func (c *Cluster) CutNode(name string, cut bool) error {
	node, ok := c.nodes[name]
	if !ok {
		return fmt.Errorf("cut node: there is no node %q", name)
	}
	if err := node.network.setCut(cut); err != nil {
		return fmt.Errorf("cut %s: %w", name, err)
	}
	return nil
}

// Get asks a Pod by HTTP, from outside all nodes, at one of its containers' ports by name. Everything but 200 is an error.
func (c *Cluster) Get(ctx context.Context, pod *corev1.Pod, port, path string) ([]byte, error) {
	number, ok := portOf(pod, port)
	if !ok || pod.Status.PodIP == "" {
		return nil, fmt.Errorf("ask Pod %s: it has no port %q or no address yet", pod.Name, port)
	}
	address := net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(int(number)))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/"+strings.TrimPrefix(path, "/"), nil)
	if err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask Pod %s: %w", pod.Name, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask Pod %s: %w", pod.Name, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask Pod %s: GET %s: %s: %s", pod.Name, path, response.Status, body)
	}
	return body, nil
}

// portOf returns the number of a container's port.
func portOf(pod *corev1.Pod, name string) (int32, bool) {
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == name {
				return port.ContainerPort, true
			}
		}
	}
	return 0, false
}
