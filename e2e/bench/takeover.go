// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

const (
	takeOverRounds = 6
	// Targets of ours: the LeaseDuration of 15 s and one more, and what the API server and a watch take.
	takeOverP99, knownDeathP99 = 16, 1.5 // s
	// lastRequests is how long requests of a process that was killed may still be carried out: they have been sent to a server
	// on this machine.
	lastRequests = time.Second
	// memberContainer is what a replica of ours calls its container unless it is told.
	memberContainer = "main"
)

// What take-overs are counted from.
const (
	sinceRenewal = "after_last_renewal"
	sinceKill    = "after_kill"
	sinceReport  = "after_report_of_death"
)

// measureTakeOvers has holders of everything end without a word, by SIGKILL. They are not started again, and their Pods stay, as
// when a node is lost.
//
// A take-over is counted up to the first instant of the next one's work: from the kill, and from the last renewal. That is what
// the Lease says by whose renewals the shard stays with its holder, by the wall clock of the holder, which is this machine's: the
// member Lease for shardctl in session mode, the Lease of the shard for all others. In lease mode a shard is free when either of
// the two has expired, so it is counted from the one that was renewed earlier. From the last renewal there is no luck in it: a
// holder that is killed just before it would have renewed is succeeded that much earlier after the kill.
//
// A known death is that of a holder whose kubelet reports, in the Pod's status, that the container has terminated, as kubelets
// do whenever a process crashes. It is counted from when the report is sent to the API server; how soon a kubelet notices is no
// contender's merit. Only shardctl goes by it. For all others such a crash is like any other.
//
// All contenders' groups are tried at the same time: what is measured takes seconds, in which they do next to nothing. All shards
// of a holder that is killed are taken over at about the same time, so the number of kills counts as much as that of samples.
func measureTakeOvers(ctx context.Context, b *bench) error {
	losses := []loss{{session, "death-0", dieKnown}, {leaseMode, "death-1", dieKnown}}
	for i, who := range contenders() {
		losses = append(losses, loss{who, fmt.Sprintf("crash-%d", i), crash})
	}
	all, err := b.tryRounds(ctx, takeOverRounds, losses...)
	if err != nil {
		return err
	}
	for _, name := range []string{sinceRenewal, sinceKill, sinceReport} {
		for _, who := range contenders() {
			of := span{name, who}
			if seen, ok := all[of]; ok { // the others know of no deaths
				b.addTakeOvers(of, seen)
			}
		}
	}
	return nil
}

func (b *bench) addTakeOvers(of span, seen lapse) {
	p50, p99, longest := b.quantiles(of, "s", seen.gaps)
	targets := map[string]float64{sinceRenewal: takeOverP99, sinceReport: knownDeathP99}
	if target, ok := targets[of.name]; ok && of.who.ours() {
		p99 = p99.atMost(target)
	}
	for _, f := range []figure{
		p50, p99, longest,
		{Name: of.name + "_samples", Who: of.who, Value: float64(len(seen.gaps))},
		{Name: of.name + "_kills", Who: of.who, Value: float64(seen.holders)},
	} {
		b.add(f)
	}
	if of.name == sinceRenewal {
		early := figure{Name: "take_overs_before_lease_duration", Who: of.who, Value: float64(seen.gaps.shorterThan(electorLeaseDuration))}
		if of.who.ours() {
			early = early.atMost(0)
		}
		b.add(early)
	}
}

// crash kills the holder.
func crash(ctx context.Context, t *trial) (map[string]gaps, error) {
	at, err := t.kill(t.holder)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, lastRequests); err != nil {
		return nil, err
	}
	renewals, err := t.renewals(ctx)
	if err != nil {
		return nil, err
	}
	successors, err := t.awaitSuccessors(ctx)
	if err != nil {
		return nil, err
	}
	last := map[string]time.Time{}
	for shard := range successors {
		if last[shard], err = lastRenewal(renewals, at, t.renewedLeases(shard)...); err != nil {
			return nil, fmt.Errorf("group %s: %w", t.name, err)
		}
	}
	return map[string]gaps{sinceRenewal: gapsBetween(last, successors), sinceKill: gapsSince(at, successors)}, nil
}

// lastRenewal is that of the Lease which was renewed earliest.
func lastRenewal(renewals map[string]time.Time, killedAt time.Time, names ...string) (earliest time.Time, err error) {
	for _, name := range names {
		renewed := renewals[name]
		if renewed.IsZero() || renewed.After(killedAt) {
			return time.Time{}, fmt.Errorf("the Lease %s was renewed last at %s, but its holder was killed at %s", name, renewed, killedAt)
		}
		if earliest.IsZero() || renewed.Before(earliest) {
			earliest = renewed
		}
	}
	return earliest, nil
}

// renewals is when the group's Leases were renewed last, by their names.
func (t *trial) renewals(ctx context.Context) (map[string]time.Time, error) {
	leases, err := t.kube.CoordinationV1().Leases(t.fleet.Namespace()).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("group %s: renewals: %w", t.name, err)
	}
	renewed := map[string]time.Time{}
	for _, l := range leases.Items {
		if l.Spec.RenewTime != nil {
			renewed[l.Name] = l.Spec.RenewTime.Time
		}
	}
	return renewed, nil
}

// renewedLeases are the names of the Leases whose renewals keep a shard with its holder, all of them.
func (t *trial) renewedLeases(shard string) []string {
	switch t.who {
	case session:
		return []string{t.memberLease()}
	case leaseMode:
		return []string{t.memberLease(), lease.ShardLeaseName(t.fleet.Group(), shard)}
	case clientGo:
		return []string{"elector-" + shard}
	case knative:
		return []string{knativeComponent + "." + shard + ".00-of-01"}
	default:
		return []string{"manager"}
	}
}

// memberLease is the name of the holder's, if it is one of ours.
func (t *trial) memberLease() string {
	return lease.MemberLeaseName(t.fleet.Group(), lease.Replica{UID: t.holder.UID(), Container: memberContainer})
}

// dieKnown kills the holder and reports that, as its kubelet does, with the line that a replica leaves in its container's
// termination message.
func dieKnown(ctx context.Context, t *trial) (map[string]gaps, error) {
	message, err := t.terminationMessage(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := t.kill(t.holder); err != nil {
		return nil, err
	}
	at, err := t.reportDeath(ctx, message)
	if err != nil {
		return nil, err
	}
	successors, err := t.awaitSuccessors(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]gaps{sinceReport: gapsSince(at, successors)}, nil
}

// terminationMessage is made from what the holder calls itself.
func (t *trial) terminationMessage(ctx context.Context) (string, error) {
	member, err := t.kube.CoordinationV1().Leases(t.fleet.Namespace()).Get(ctx, t.memberLease(), metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("group %s: member Lease of the holder: %w", t.name, err)
	}
	identity, err := lease.ParseIdentity(lease.DecodeMember(member).Holder)
	if err != nil {
		return "", fmt.Errorf("group %s: member Lease of the holder: %w", t.name, err)
	}
	config := lease.Config{Group: t.fleet.Group(), Namespace: t.fleet.Namespace(), Replica: identity.Replica}
	return config.TerminationMessage(), nil
}

// reportDeath returns when the report was sent.
func (t *trial) reportDeath(ctx context.Context, message string) (time.Time, error) {
	pods := t.kube.CoreV1().Pods(t.fleet.Namespace())
	pod, err := pods.Get(ctx, t.holder.Name(), metav1.GetOptions{})
	if err != nil {
		return time.Time{}, fmt.Errorf("report a death: %w", err)
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name:  pod.Spec.Containers[0].Name,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Error", ExitCode: 137, Message: message}},
	}}
	at := time.Now()
	if _, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
		return time.Time{}, fmt.Errorf("report a death: %w", err)
	}
	return at, nil
}
