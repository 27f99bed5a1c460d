// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"time"

	"github.com/shardctl/shardctl/internal/sim"
	"github.com/shardctl/shardctl/pkg/lease"
)

var stories = []struct {
	name, text string
	tell       func(*teller)
}{
	{
		"cold-start", `
		A group starts for the first time. Where whoever installs it has made the layout record, it is certain that
		there was no shard before, and nothing has to be waited for. Otherwise a Lease might have been deleted whose
		holder does not know yet (R6b): one LeaseDuration has to pass, once.`,
		func(s *teller) {
			s.begin("With the layout record installed:", "s1", "s2")
			s.InstallLayout()
			s.Start("a")
			s.Run(time.Second)
			s.heldBy("a a")
			s.end()
			s.begin("Without:", "s1", "s2")
			s.Start("a")
			s.Run(16 * time.Second)
			s.heldBy("a a")
			s.end()
		},
	},
	{
		"join", `
		A second replica joins and gets its share: the holder asks the work to end, waits until it has (10 ms here),
		and then names its successor in the Lease. The gap is one request and one event of the watch.`,
		func(s *teller) {
			s.settle("The group:", "s1 s2 s3 s4", "a")
			s.Start("b")
			s.Run(5 * time.Second)
			s.heldBy("a b a b")
			s.end()
		},
	},
	{
		"leave", `
		A replica is told to end (SIGTERM). Its work takes two seconds to return, and until then the shard stays where
		it is. Once nothing rests on its session any more, the replica says so and removes its record.`,
		func(s *teller) {
			r := s.settle("The group:", "s1 s2", "a", "b")
			s.Faults.WorkReturns = sim.Exactly(2 * time.Second)
			s.Logf("a", "is told to leave")
			r[0].Deliver(lease.Leave{})
			s.Run(3 * time.Second)
			s.heldBy("b b")
			s.end()
		},
	},
	{
		"crash", `
		A replica is killed. The other sees no heartbeat for a LeaseDuration, confirms that its own view is fresh
		(R6a), ends the session of the dead by compare-and-swap (R1), and only then takes its shard. A renewal that was
		still under way and the end of the session cannot both succeed. Between the two it closes the Lease to the dead,
		for the fence in the API server: what that let in before is stored by the time of the claim.`,
		func(s *teller) {
			r := s.settle("The group:", "s1 s2", "a", "b")
			r[0].Crash()
			s.Run(16 * time.Second)
			s.heldBy("b b")
			s.end()
		},
	},
	{
		"known-death", `
		The same, but the kubelet reports that the container has ended whose boot nonce is in the identity (R10): its
		session can be ended at once. A report of the death of an earlier process says nothing about a later one.`,
		func(s *teller) {
			r := s.settle("The group:", "s1 s2", "a", "b")
			r[0].Crash()
			s.Run(700 * time.Millisecond)
			s.Logf("b", "is told by the Pod watch that the process of a has ended")
			r[1].Deliver(lease.Died{Replica: r[0].Process})
			s.Run(time.Second)
			s.heldBy("b b")
			s.Restart(r[0])
			s.Run(10 * time.Second)
			s.heldBy("a/2 b")
			s.Logf("b", "is told of the same death again")
			r[1].Deliver(lease.Died{Replica: r[0].Process})
			s.Run(time.Second)
			s.heldBy("a/2 b")
			s.end()
		},
	},
	{
		"restart", `
		A container crashes and is started again in the same Pod a second later. It takes over the record of its
		predecessor, which is certainly gone, and claims its shards at the next epoch.`,
		func(s *teller) {
			r := s.settle("The group:", "s1 s2", "a", "b")
			r[0].Crash()
			s.Run(time.Second)
			s.Restart(r[0])
			s.Run(time.Second)
			s.heldBy("a/2 b")
			s.end()
		},
	},
	{
		"pause", `
		A holder is stopped (SIGSTOP, a suspended machine) for longer than its validity lasts. When it goes on, the
		first thing it looks at is its clock: the session is over, whatever has arrived meanwhile (R4). It comes back
		as another session. Had nobody taken over, it would have claimed the shard again.`,
		func(s *teller) {
			r := s.settle("The group:", "s1 s2", "a", "b")
			r[0].Pause(20 * time.Second)
			s.Run(19 * time.Second)
			s.heldBy("b b")
			s.Run(6 * time.Second)
			s.heldBy("a b")
			s.end()
		},
	},
	{
		"reply-lost", `
		Replies are lost after the requests were carried out. A heartbeat is known to have been committed when the
		watch shows it (R9), so nothing is lost. A hand-over is over when it is sent (R2): whatever has become of it, its
		sender does not act for the shard any more.`,
		func(s *teller) {
			r := s.settle("The group:", "s1 s2", "a")
			s.Logf("a", "gets no replies for half a minute")
			r[0].CutReplies = s.Now() + 30*time.Second
			s.Run(5 * time.Second)
			s.Start("b")
			s.Run(20 * time.Second)
			s.heldBy("a b")
			s.end()
		},
	},
	{
		"slow-reply-then-partition", `
		The reply to a renewal takes 4.5 s; then the holder is cut off. The clocks of all machines agree. Validity that
		counts from the reply outlives the patience of the others, who count from when they saw the renewal.`,
		tellSlowReply,
	},
	{
		"deleted-lease", `
		Somebody deletes the Lease of a shard. Its holder sees it and ends its term at once. But a holder that did not
		see it would go on until its validity ends: so the Lease made in its place is claimed only after a LeaseDuration
		(R6b). Its epochs go on from those of the deleted one, so that the fencing token rises whatever its creation time
		(R7).`,
		func(s *teller) {
			s.settle("The group:", "s1", "a", "b")
			s.Logf("*", "deletes the Lease of s1")
			s.Server.Remove(lease.ShardLeaseName(sim.Group, "s1"))
			s.Run(time.Second)
			s.heldBy("-")
			s.Run(15 * time.Second)
			s.heldBy("b")
			s.end()
		},
	},
	{
		"partition", `
		One replica of three is cut off from the API server. Its validity, 9 s from the last renewal that it knows to be
		committed, ends long before anybody takes over. When it comes back, it is another session, and gets a share.`,
		func(s *teller) {
			r := s.settle("The group:", "s1 s2 s3", "a", "b", "c")
			s.cut(30*time.Second, r[0])
			s.Run(12 * time.Second)
			s.notef("held by %s", s.Holders())
			s.Run(8 * time.Second)
			s.notef("held by %s", s.Holders())
			s.Run(15 * time.Second)
			s.notef("held by %s", s.Holders())
			s.end()
		},
	},
	{
		"outage", `
		The API server is away for half a minute. Every session ends for want of renewals. When it is back, nobody has been
		seen for all that time, and nobody takes anything from anybody: the clocks of the others run only while one's own
		view is fresh (R15). Everyone claims again what it had.`,
		func(s *teller) {
			r := s.settle("The group:", "s1 s2 s3", "a", "b", "c")
			s.Logf("*", "the API server goes away")
			s.cut(30*time.Second, r...)
			s.Run(30 * time.Second)
			s.heldBy("- - -")
			s.Logf("*", "the API server is back")
			s.Run(6 * time.Second)
			s.notef("held by %s", s.Holders())
			s.end()
		},
	},
	{
		"rolling-update", `
		A Deployment replaces its replicas one by one, each by one of a newer revision, which is up before the old one
		is told to end. Shards move from old to new only.`,
		func(s *teller) {
			old := s.settle("The group:", "s1 s2 s3 s4", "a", "b")
			s.Config.Revision = 2
			for i, pod := range []string{"c", "d"} {
				s.Start(pod)
				s.Run(5 * time.Second)
				s.Logf(old[i].Name, "is told to leave")
				old[i].Deliver(lease.Leave{})
				s.Run(5 * time.Second)
			}
			s.notef("held by %s", s.Holders())
			s.end()
		},
	},
}

// slowReply is how long the reply to a renewal takes.
const slowReply = 4500 * time.Millisecond

func tellSlowReply(s *teller) {
	r := s.settle("Here: counted from the send.", "s1", "a", "b")
	a := s.Holder("s1")
	sent := time.Duration(0)
	s.Fate = func(sender *sim.Replica, op lease.Op) (sim.Fate, bool) {
		if sender != a || op.Why != "heartbeat" {
			return sim.Fate{}, false
		}
		if sent == 0 {
			sent = s.Now()
			s.Logf(a.Name, "renews; the network is slow, its reply and its event take %s", slowReply)
			a.Watch.Stalled = s.Now() + slowReply
		}
		return sim.Fate{Request: time.Millisecond, Reply: slowReply}, true
	}
	s.Until(time.Minute, func() bool { return sent != 0 && s.Now() >= sent+slowReply+10*time.Millisecond })
	s.cut(time.Minute, a)
	s.Until(time.Minute, func() bool { return !a.Holds("s1") })
	s.notef("%s after it sent that renewal, the validity of %s is over", s.Now()-sent, a.Name)
	s.Until(time.Minute, func() bool { return s.Holder("s1") != nil })
	s.notef("%s after, %s holds s1", s.Now()-sent, s.Holders())
	s.end()
	if s.Holder("s1") == a || len(r) != 2 {
		s.t.Errorf("held by %s", s.Holders())
	}

	if c := tellControl(s, "client-go's elector, 15 s, 10 s, 2 s: counted from the reply.", false); c.Overlaps != 1 {
		s.t.Errorf("two led %d times, want once", c.Overlaps)
	}
	if c := tellControl(s, "client-go's elector, were it counted from the send.", true); c.Overlaps != 0 {
		s.t.Errorf("two led %d times, want never", c.Overlaps)
	}
}

func tellControl(s *teller, title string, fromSend bool) *sim.Control {
	s.seed = 16 // b looks soon after a's Lease has expired
	s.begin(title)
	c := sim.NewControl(s.World, fromSend)
	a := c.Start("a", sim.Perfect)
	s.Run(time.Second)
	c.Start("b", sim.Perfect)
	s.Run(9990*time.Millisecond - s.Now())
	s.Logf("a", "the network is slow: the reply to its next renewal takes %s", slowReply)
	s.Faults.Reply = sim.Exactly(slowReply)
	s.Run(50 * time.Millisecond)
	s.Faults.Reply = sim.Exactly(time.Millisecond)
	s.Run(slowReply)
	s.Logf("a", "is cut off for a minute")
	a.CutRequests, a.CutReplies = s.Now()+time.Minute, s.Now()+time.Minute
	s.Run(25 * time.Second)
	s.end()
	return c
}
