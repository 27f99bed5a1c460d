// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lineOf is what a replica of group g in namespace ns leaves behind.
func lineOf(container, boot string) string {
	c := Config{Group: "g", Namespace: "ns", Replica: Replica{Container: container, Boot: boot}}
	return c.TerminationMessage()
}

func TestTerminationMessageIsShortAndHasTheNonce(t *testing.T) {
	label := strings.Repeat("x", 63)
	c := Config{Group: label, Namespace: label, Replica: Replica{Container: label, Boot: label}}
	message := c.TerminationMessage()
	if len(message) > 400 || strings.Index(message, "\n") != len(message)-1 {
		t.Errorf("%d bytes, want one line of at most 400: %q", len(message), message)
	}
	if id := (Identity{Replica: c.Replica, Incarnation: 1}).String(); !strings.Contains(id, label+"."+label) || !strings.Contains(message, label+"."+label) {
		t.Errorf("the nonce of %q is not in %q", id, message)
	}
}

func terminated(reason string, exitCode int32, message string) corev1.ContainerState {
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: reason, ExitCode: exitCode, Message: message}}
}

var (
	running = corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	waiting = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
)

func status(name string, state, last corev1.ContainerState) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: state, LastTerminationState: last}
}

// podWith has these containers, with these statuses.
func podWith(name string, statuses ...corev1.ContainerStatus) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: "uid-of-pod"}}
	for _, s := range statuses {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: s.Name})
	}
	pod.Status.ContainerStatuses = statuses
	return pod
}

func TestDeathsIn(t *testing.T) {
	var (
		none = corev1.ContainerState{}
		line = lineOf("main", "b1")
	)
	phase := func(phase corev1.PodPhase, reason string, pod *corev1.Pod) *corev1.Pod {
		pod.Status.Phase, pod.Status.Reason = phase, reason
		return pod
	}
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want string // container.boot of each
	}{
		"at work":                          {podWith("p", status("main", running, none)), ""},
		"not started":                      {podWith("p"), ""},
		"killed for want of memory":        {podWith("p", status("main", terminated("OOMKilled", 137, line), none)), "main.b1"},
		"killed":                           {podWith("p", status("main", terminated("Error", 137, line), none)), "main.b1"},
		"ended with an error":              {podWith("p", status("main", terminated("Error", 1, line+"no such file\n"), none)), "main.b1"},
		"ended in order":                   {podWith("p", status("main", terminated("Completed", 0, line), none)), "main.b1"},
		"restarted":                        {podWith("p", status("main", running, terminated("Error", 137, line))), "main.b1"},
		"waiting for its restart":          {podWith("p", status("main", waiting, terminated("Error", 137, line))), "main.b1"},
		"restarted, and ended once more":   {podWith("p", status("main", terminated("Error", 1, lineOf("main", "b2")), terminated("Error", 137, line))), "main.b1 main.b2"},
		"started twice in one container":   {podWith("p", status("main", terminated("Error", 1, line+lineOf("main", "b2")), none)), "main.b2"},
		"evicted, reported by the kubelet": {phase(corev1.PodFailed, "Evicted", podWith("p", status("main", terminated("Error", 137, line), none))), "main.b1"},

		"ended before it wrote":          {podWith("p", status("main", terminated("Error", 1, ""), none)), ""},
		"wrote something else":           {podWith("p", status("main", terminated("Error", 1, "panic: main.b1"), none)), ""},
		"the line was cut":               {podWith("p", status("main", terminated("Error", 1, line[:len(line)-10]), none)), ""},
		"the line is part of another":    {podWith("p", status("main", terminated("Error", 1, "I saw "+line), none)), ""},
		"a nonce that is none":           {podWith("p", status("main", terminated("Error", 1, strings.Replace(line, "main.b1", "main.B 1", 1)), none)), ""},
		"nobody knows what became of it": {podWith("p", status("main", terminated("ContainerStatusUnknown", 137, line), none)), ""},
		"failed, says the Pod collector": {phase(corev1.PodFailed, "", podWith("p", status("main", running, none))), ""},
		"on a node that nobody reaches":  {phase(corev1.PodRunning, "NodeLost", podWith("p", status("main", running, none))), ""},
		"of another group": {podWith("p", status("main", terminated("Error", 1,
			strings.Replace(line, "ns/g", "ns/other", 1)), none)), ""},
		"of a group of that name elsewhere": {podWith("p", status("main", terminated("Error", 1,
			strings.Replace(line, "ns/g", "other/g", 1)), none)), ""},

		"several, of which one ended": {podWith("p",
			status("main", running, none), status("proxy", terminated("Error", 2, "bye"), none), status("second", terminated("Error", 1, lineOf("second", "b7")), none)), "second.b7"},
		"the nonce of another container": {podWith("p",
			status("main", running, none), status("proxy", terminated("Error", 2, line), none)), ""},
		"called otherwise, but the only one": {podWith("p", status("manager", terminated("Error", 137, line), none)), "main.b1"},
		"called otherwise, beside another": {podWith("p",
			status("manager", terminated("Error", 137, line), none), status("proxy", running, none)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, d := range deathsIn(test.pod, "ns/g") {
				if d.Pod != test.pod.Name || d.UID != test.pod.UID {
					t.Errorf("the death is that of Pod %s, %s", d.Pod, d.UID)
				}
				got = append(got, d.Container+"."+d.Boot)
			}
			if want := strings.Fields(test.want); !slices.Equal(got, want) {
				t.Errorf("deaths of %v, want %v", got, want)
			}
		})
	}
}

// A sidecar is an init container that is restarted by itself.
func TestDeathsInSidecars(t *testing.T) {
	pod := podWith("p", status("app", running, corev1.ContainerState{}))
	pod.Spec.InitContainers = []corev1.Container{{Name: "setup"}, {Name: "sidecar"}}
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{
		status("setup", terminated("Completed", 0, ""), corev1.ContainerState{}),
		status("sidecar", running, terminated("OOMKilled", 137, lineOf("sidecar", "b3"))),
	}
	got := deathsIn(pod, "ns/g")
	want := []death{{Replica: Replica{Pod: "p", UID: pod.UID, Container: "sidecar", Boot: "b3"}, reason: "OOMKilled", exitCode: 137}}
	if !slices.Equal(got, want) {
		t.Errorf("deaths: %+v, want %+v", got, want)
	}
}

// A debug container makes it uncertain which of two a message is about.
func TestDeathsInAPodThatIsDebugged(t *testing.T) {
	pod := podWith("p", status("manager", terminated("Error", 1, lineOf("main", "b1")), corev1.ContainerState{}))
	pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debugger"}}}
	if got := deathsIn(pod, "ns/g"); len(got) != 0 {
		t.Errorf("deaths: %+v, want none", got)
	}
}
