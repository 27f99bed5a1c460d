// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"fmt"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Logf adds a line to the transcript.
func (w *World) Logf(who, format string, args ...any) { w.logf(who, format, args...) }

func (w *World) logf(who, format string, args ...any) {
	if w.Transcript == nil {
		return
	}
	fmt.Fprintf(w.Transcript, "%10.3f  %-6s %s\n", w.now.Seconds(), who, fmt.Sprintf(format, args...))
}

// logEvent is what a replica sees.
func (w *World) logEvent(r *Replica, ev lease.Event) {
	if w.Transcript == nil || !w.Verbose {
		return
	}
	w.logf(r.Name, "  %s", describe(ev))
}

func (w *World) logReply(r *Replica, op lease.Op, o lease.Outcome) {
	if w.Transcript == nil {
		return
	}
	w.logf(r.Name, "<- %s %s (%s): %s", op.Verb, op.Name, op.Why, o)
}

// logEffect is what a replica does.
func (w *World) logEffect(r *Replica, effect lease.Effect) {
	if w.Transcript == nil {
		return
	}
	switch e := effect.(type) {
	case lease.Send:
		w.logf(r.Name, "-> %s %s (%s)", e.Op.Verb, e.Op.Name, e.Op.Why)
	case lease.Granted:
		w.logf(r.Name, "granted %s at epoch %d (%s)", e.Term.Shard, e.Term.Epoch, e.Term.How)
	case lease.Revoked:
		how := "revoked"
		if e.Graceful {
			how = "asked to end"
		}
		w.logf(r.Name, "%s %s at epoch %d (%s)", how, e.Term.Shard, e.Term.Epoch, e.Cause)
	case lease.Passed:
		w.logf(r.Name, "passed %s at epoch %d to %s (%s)", e.Term.Shard, e.Term.Epoch, short(e.Successor), e.Cause)
	case lease.Extended:
		if w.Verbose {
			w.logf(r.Name, "  %s valid until %.3f s", extended(e), r.Clock.When(e.Until).Seconds())
		}
	case lease.Began:
		w.logf(r.Name, "goes on as %s", e.Identity)
	case lease.Ended:
		w.logf(r.Name, "ended the session of %s", short(e.Identity))
	case lease.Refused:
		w.logf(r.Name, "refused: %s %s (%s)", e.Op.Verb, e.Op.Name, e.Op.Why)
	case lease.Entered:
		how := map[bool]string{true: "is confirmed", false: "failed"}
		w.logf(r.Name, "entry %d %s", e.ID, how[e.OK])
	case lease.Left:
		w.logf(r.Name, "left")
	}
}

// short is an identity as people call it: the Pod, and the session of which it is
// the first unless it says otherwise.
func short(identity string) string {
	id, err := lease.ParseIdentity(identity)
	switch {
	case identity == "":
		return "nobody"
	case err != nil:
		return identity
	case id.Incarnation == 1:
		return id.Pod
	default:
		return fmt.Sprintf("%s, session %d", id.Pod, id.Incarnation)
	}
}

func extended(e lease.Extended) string {
	if e.Shard == "" {
		return "session"
	}
	return e.Shard
}

// describe is an event as a line of the transcript.
func describe(ev lease.Event) string {
	switch ev := ev.(type) {
	case lease.Observed:
		if ev.Deleted {
			return fmt.Sprintf("sees %s deleted at %s", ev.Lease.Name, ev.Lease.ResourceVersion)
		}
		return "sees " + describeLease(ev.Lease)
	case lease.Listed:
		return fmt.Sprintf("lists %d Leases at %s", len(ev.Leases), ev.ResourceVersion)
	case lease.Drained:
		return fmt.Sprintf("work of %s epoch %d has ended", ev.Term.Shard, ev.Term.Epoch)
	case lease.Enter:
		return fmt.Sprintf("entry %d is asked for: %s at epoch %d, %q", ev.ID, ev.Term.Shard, ev.Term.Epoch, ev.Text)
	case lease.Died:
		return fmt.Sprintf("is told that %s/%s has ended", ev.Replica.Pod, ev.Replica.Boot)
	case lease.Replied:
		return fmt.Sprintf("reply: %s", ev.Outcome)
	default:
		return fmt.Sprintf("%T%+v", ev, ev)
	}
}

func describeLease(l *coordinationv1.Lease) string {
	said := []string{fmt.Sprintf("%s at %s: holder %q", l.Name, l.ResourceVersion, ptr.Deref(l.Spec.HolderIdentity, ""))}
	if l.Spec.LeaseTransitions != nil {
		said = append(said, fmt.Sprintf("epoch %d", *l.Spec.LeaseTransitions))
	}
	for _, a := range []string{lease.AnnotationAttempt, lease.AnnotationEnded, lease.AnnotationLeaving, lease.AnnotationLedger} {
		if v := l.Annotations[a]; v != "" {
			said = append(said, a[len("shardctl.dev/"):]+" "+v)
		}
	}
	return strings.Join(said, ", ")
}
