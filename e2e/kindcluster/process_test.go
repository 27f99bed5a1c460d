// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package kindcluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

const tasks = `TASK         PID     STATUS
aaa          518     RUNNING
bbb          0       STOPPED
`

func TestPIDIsReadFromTheTableOfTasks(t *testing.T) {
	if pid, err := pidOf([]byte(tasks), "aaa"); err != nil || pid != 518 {
		t.Errorf("pidOf returned %d, %v; want 518", pid, err)
	}
	for _, id := range []string{"bbb", "ccc", "a", "TASK"} {
		if pid, err := pidOf([]byte(tasks), id); err == nil {
			t.Errorf("container %s has PID %d, want an error: nothing else may be killed", id, pid)
		}
	}
}

func TestOnlyARunningContainerIsKilled(t *testing.T) {
	status := func(name, id string, running bool) corev1.ContainerStatus {
		s := corev1.ContainerStatus{Name: name, ContainerID: id}
		if running {
			s.State.Running = &corev1.ContainerStateRunning{}
		}
		return s
	}
	for _, test := range []struct {
		name     string
		statuses []corev1.ContainerStatus
		want     string
	}{
		{"shardctl among others", []corev1.ContainerStatus{status("hook", "containerd://h", true), status("shardctl", "containerd://s", true)}, "s"},
		{"not started yet", nil, ""},
		{"ended", []corev1.ContainerStatus{status("shardctl", "containerd://s", false)}, ""},
		{"an ID of no runtime", []corev1.ContainerStatus{status("shardctl", "s", true)}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			id, err := containerID(&corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: test.statuses}})
			if id != test.want || (err == nil) != (test.want != "") {
				t.Errorf("containerID returned %q, %v; want %q", id, err, test.want)
			}
		})
	}
}
