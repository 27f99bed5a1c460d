// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// container is the name of shardctl's in its Pod.
const container = "shardctl"

// KillProcess sends SIGKILL to the main process of the Pod's container shardctl, past containerd and kubelet, which notice.
func (c *Cluster) KillProcess(ctx context.Context, pod *corev1.Pod) error {
	node, err := c.node(pod.Spec.NodeName)
	if err != nil {
		return err
	}
	id, err := containerID(pod)
	if err != nil {
		return err
	}
	tasks, err := run(ctx, node, "ctr", "--namespace=k8s.io", "tasks", "list")
	if err != nil {
		return err
	}
	pid, err := pidOf(tasks, id)
	if err != nil {
		return fmt.Errorf("node %s: %w", node, err)
	}
	_, err = run(ctx, node, "kill", "-KILL", strconv.Itoa(pid))
	return err
}

// containerID is that of the container which the Pod's status says is running.
func containerID(pod *corev1.Pod) (string, error) {
	i := slices.IndexFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == container })
	if i < 0 || pod.Status.ContainerStatuses[i].State.Running == nil {
		return "", fmt.Errorf("container %s of Pod %s is not running", container, pod.Name)
	}
	_, id, found := strings.Cut(pod.Status.ContainerStatuses[i].ContainerID, "://")
	if !found {
		return "", fmt.Errorf("container %s of Pod %s has the ID %q: want one with its runtime", container, pod.Name, pod.Status.ContainerStatuses[i].ContainerID)
	}
	return id, nil
}

// pidOf reads the table that ctr prints: ID, PID, status. The PIDs are those of the node.
func pidOf(tasks []byte, id string) (int, error) {
	for lines := bufio.NewScanner(bytes.NewReader(tasks)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 || fields[0] != id {
			continue
		}
		pid, err := strconv.Atoi(fields[1])
		if err == nil && pid <= 1 {
			err = errors.New("there is no process")
		}
		if err != nil {
			return 0, fmt.Errorf("container %s has PID %q: %w", id, fields[1], err)
		}
		return pid, nil
	}
	return 0, fmt.Errorf("containerd knows no container %s", id)
}
