// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"context"
	"fmt"
	"time"

	"k8s.io/klog/v2"
)

// sightTimeout is how long a grant waits for the chronicle to show that this replica leads.
// It is shown within milliseconds by the very watch without which no term stays valid.
const sightTimeout = time.Second

// unknownGrace is that of a role which is granted while it is being removed from the configuration.
const unknownGrace = 2 * time.Second

// Lead is the work of a leadership role: it tells programs that the role is granted to this
// replica, and, with the first word of the end of its term, that it is revoked. It returns
// once a program has said that it has stopped, if the role waits for that, and otherwise
// when the grace of the role is over: then the role may be given away. If the session
// itself is over, it returns at once.
//
// Nobody knows whether a program is listening, since it may ask instead. So the grace is
// waited for without any, too.
func (e *Endpoint) Lead(role string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		term, ok := e.backend.TermFrom(ctx)
		if !ok {
			return fmt.Errorf("role %s: the context has no term: run it as a role of the group", role)
		}
		how, ok := e.role(role)
		if !ok {
			how.Grace = unknownGrace
		}
		e.journal.awaitSight(ctx, role, term)
		g := e.journal.grant(ctx, role, term)
		<-ctx.Done()
		if g == nil {
			return nil // nobody was told
		}
		how = e.atTheEnd(role, how)
		last := end{why: context.Cause(ctx).Error(), grace: how.Grace, acknowledge: how.Acknowledge}
		if term.Remaining() <= 0 { // the shard is lost: nothing is kept for anybody
			last.grace, last.acknowledge = 0, false
		}
		e.journal.revoke(g, last)
		if !g.awaitStopped(last.grace) && last.acknowledge {
			klog.FromContext(ctx).Info("No program has said that it has stopped: the role may be given away", "role", role, "grace", how.Grace)
		}
		return nil
	}
}

// atTheEnd is a role as its end goes by: as it is configured now, unless that has it no more, or
// as another kind, which may be why it ends. Then its programs have the time that they counted on,
// but cannot say that they have stopped: nothing of that name takes it in.
func (e *Endpoint) atTheEnd(role string, was Role) Role {
	if now, ok := e.role(role); ok && now.Kind == Leadership {
		return now
	}
	was.Acknowledge = false
	return was
}

// awaitStopped tells whether a program says within the grace that it has stopped.
func (g *grant) awaitStopped(grace time.Duration) bool {
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-g.stopped:
		return true
	case <-timer.C:
		return false
	}
}

// awaitSight waits until the chronicle has shown who leads in this term, so that
// programs hear of that first.
func (j *journal) awaitSight(ctx context.Context, role string, term Term) {
	patience := time.NewTimer(sightTimeout)
	defer patience.Stop()
	for {
		more := j.catchUp()
		if j.shows(role, term) {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		case <-patience.C:
			return
		}
	}
}

func (j *journal) shows(role string, term Term) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := j.leaders[role]
	return now.Holder == term.Identity() && now.Epoch >= term.Epoch()
}

// grant tells that this replica leads a role; nil if it does not any more, or nobody
// listens.
func (j *journal) grant(ctx context.Context, role string, term Term) *grant {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.takeOver()
	if j.closed || ctx.Err() != nil || term.Remaining() <= 0 {
		return nil
	}
	g := &grant{number: j.last + 1, role: role, term: term, since: time.Now(), stopped: make(chan struct{})}
	j.grants[role] = g
	j.add(event{name: eventGranted, role: role, grant: g})
	return g
}

// revoke tells the end of a grant, unless that was told before, and from now on takes the
// word of a program that has stopped, if the role waits for it.
func (j *journal) revoke(g *grant, last end) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.revokeNow(g, last)
	g.awaited = last.acknowledge
}

// revokeNow is revoke for those who have the lock. Nobody waits then.
func (j *journal) revokeNow(g *grant, last end) {
	if !g.over.Swap(true) {
		j.add(event{name: eventRevoked, role: g.role, grant: g, end: last})
	}
}

// outcome is what has become of an acknowledgement.
type outcome int

const (
	outcomeReleased outcome = iota // the shard may be given away
	outcomeGranted                 // nothing was revoked
	outcomeIdle                    // nothing waits for it: it comes late, or the role does not wait
)

// stopped takes in that a program has stopped what it did in the term with that epoch;
// zero: in the newest.
func (j *journal) stopped(role string, epoch int32) outcome {
	j.mu.Lock()
	defer j.mu.Unlock()
	g := j.grants[role]
	switch {
	case g == nil, epoch != 0 && epoch != g.term.Epoch():
		return outcomeIdle
	case g.leading():
		return outcomeGranted
	case !g.awaited:
		return outcomeIdle
	}
	g.awaited = false
	close(g.stopped)
	return outcomeReleased
}
