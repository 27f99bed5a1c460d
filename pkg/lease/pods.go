// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// What the line of [Config.TerminationMessage] consists of, besides the nonce
// and the group.
const (
	messageHead = "shardctl replica "
	messageOf   = " of group "
	messageTail = ": this line tells the others which process has ended here"
)

// TerminationMessage is the line that a replica in a Pod has to write to its
// container's termination-message file before [Driver.Run]: the kubelet hands it
// on, in the Pod's status, when the container has ended, and it holds the boot
// nonce that tells this run of the process from all others (R10). It ends with a
// line feed. It is at most 400 bytes long, so that the kubelet, which keeps 12 KiB
// of messages per Pod, shortens none of it in a Pod of 30 containers or less.
func (c *Config) TerminationMessage() string {
	return messageHead + c.Replica.Container + "." + c.Replica.Boot + messageOf + c.messageGroup() + messageTail + "\n"
}

// messageGroup is what a termination message calls the group: one process may
// belong to groups of the same name in several namespaces.
func (c *Config) messageGroup() string { return c.Namespace + "/" + c.Group }

// death is a process that is known to have ended, with what the kubelet says of
// that for people.
type death struct {
	Replica
	reason   string
	exitCode int32
}

// deathsIn returns the replicas of a group that have ended according to a Pod's
// status, older ones of a container first. Nothing proves it but the kubelet's
// report that a container has terminated, together with the message that the
// process left in there: a Pod that has failed, is gone or is on a node that
// nobody reaches may still be at work.
//
// The message alone is not trusted, since a container can write anything into
// it, or have the kubelet take it from its log: name and UID are those of the
// Pod, and the container is the one that the message names, or else the only one
// that the Pod has.
func deathsIn(pod *corev1.Pod, group string) []death {
	only := len(pod.Spec.InitContainers)+len(pod.Spec.Containers)+len(pod.Spec.EphemeralContainers) == 1
	var deaths []death
	look := func(status *corev1.ContainerStatus, ended *corev1.ContainerStateTerminated) {
		if ended == nil || ended.Reason == reasonUnknown {
			return
		}
		container, boot, ok := nonceIn(ended.Message, group)
		if !ok || container != status.Name && !only {
			return
		}
		deaths = append(deaths, death{
			Replica:  Replica{Pod: pod.Name, UID: pod.UID, Container: container, Boot: boot},
			reason:   ended.Reason,
			exitCode: ended.ExitCode,
		})
	}
	// A container that restarts by itself beside the others is an init container.
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			look(&statuses[i], statuses[i].LastTerminationState.Terminated)
			look(&statuses[i], statuses[i].State.Terminated)
		}
	}
	return deaths
}

// reasonUnknown is what the kubelet says of a container that it does not find: it
// is no report of an end.
const reasonUnknown = "ContainerStatusUnknown"

// nonceIn finds the newest line that a replica of the group has left in a
// termination message: one that was started again in the same container has
// ended the session of its predecessor by itself.
func nonceIn(message, group string) (container, boot string, ok bool) {
	for line := range strings.Lines(message) {
		line, isHead := strings.CutPrefix(line, messageHead)
		nonce, rest, isOf := strings.Cut(line, messageOf)
		if !isHead || !isOf || strings.TrimSuffix(rest, "\n") != group+messageTail {
			continue
		}
		c, b, _ := strings.Cut(nonce, ".")
		if c != "" && b != "" && isLabel(c) && isLabel(b) {
			container, boot, ok = c, b, true
		}
	}
	return container, boot, ok
}
