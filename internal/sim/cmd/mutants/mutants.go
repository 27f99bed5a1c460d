// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

const (
	assignFile     = "pkg/shard/assign_model.go"
	claimFile      = "pkg/lease/claim.go"
	familyFile     = "pkg/lease/family.go"
	layoutFile     = "pkg/lease/layout.go"
	reconcileFile  = "internal/sim/reconcile.go"
	listFile       = "internal/work/list.go"
	writesFile     = "internal/work/writes.go"
	simReplicaFile = "internal/sim/replica.go"
	machineFile    = "pkg/lease/election.go"
	peerFile       = "pkg/lease/peer.go"
	planFile       = "pkg/lease/plan.go"
	recordFile     = "pkg/lease/record.go"
	renewalFile    = "pkg/lease/renewal.go"
	sessionFile    = "pkg/lease/session.go"
	viewFile       = "pkg/lease/view.go"
)

// one is a mutant of one edit.
func one(rule, name, file, old, mutated string) mutant {
	return mutant{name: name, rule: rule, edits: []edit{{file, old, mutated}}}
}

// mutants are all of them: each rule left out, and what else people get wrong.
var mutants = []mutant{
	one("R1", "takes a shard without ending its holder's session", claimFile,
		"if holder != \"\" && known.shard.Session && !e.over(holder) {",
		"if holder != \"\" && known.shard.Session && !e.over(holder) && len(holder) == 0 {"),
	one("R1", "takes a request to end a session for its success", peerFile,
		"	holder := e.view.who(identity)\n	switch holder.record {",
		"	holder := e.view.who(identity)\n	if holder.record != e.own && e.busy[holder.record] {\n		return true\n	}\n	switch holder.record {"),
	one("R2", "goes on with a term whose transfer was sent", claimFile,
		"	c.ended = endedTerm{uid: c.term.UID, epoch: c.term.Epoch}\n", ""),
	one("R2", "takes an unknown outcome of a transfer for failure", claimFile,
		"		if successor == e.Identity() && r.Outcome == OK {\n			e.claimed(c)\n		}\n",
		"		if successor != e.Identity() && r.Outcome == Unknown && c.phase == idle {\n			c.ended = endedTerm{}\n			e.grant(c, known)\n		}\n"),
	{
		name: "lists again at any state, and believes it", rule: "R3",
		edits: []edit{
			{machineFile, "	if e.view.newest == 0 {\n		return \"\"\n	}\n", "	if e != nil {\n		return \"\"\n	}\n"},
			{viewFile, "	if rv == 0 || rv < v.shown {\n", "	if rv == 0 {\n"},
			{viewFile, "	if old != nil && rv <= old.rv {\n		return\n	}\n", ""},
		},
	},
	one("R3", "begins terms at any epoch", claimFile,
		"	ended := c.ended.uid == s.UID && s.Epoch <= c.ended.epoch\n",
		"	ended := false\n"),
	one("R4", "goes on under the same identity (incarnation ignored)", sessionFile,
		"	id.Incarnation++\n", ""),
	one("R4", "looks at the validity after the event, not before", machineFile,
		"	e.expire()\n	for _, ev", "	defer e.expire()\n	for _, ev"),
	one("R4", "ends a session by its timer alone: a reply may extend it before", machineFile,
		"	e.expire()\n	for _, ev",
		"	if slices.ContainsFunc(events, func(ev Event) bool { _, timer := ev.(Tick); return timer }) {\n		e.expire()\n	}\n	for _, ev"),
	one("R5", "takes a member Lease that is gone for a death", peerFile,
		"		since = e.absent[identity]\n", "		since, duration = e.absent[identity], 1\n"),
	one("R5", "ends its session while work goes on", peerFile,
		"if c.phase != idle || c.working > 0 || e.busy", "if c.phase == held || e.busy"),
	one("R6a", "is valid by replies that the watch has not shown", sessionFile,
		"	if e.view.settled(known) {\n		return number\n	}\n", "	if known != nil {\n		return number\n	}\n"),
	one("R6b", "claims a Lease that was just made (deleted Lease frees at once)", claimFile,
		"	due := known.appeared.Add(max(e.view.longest, e.cfg.Timings.LeaseDuration))\n	if e.now < due {",
		"	due := known.appeared.Add(max(e.view.longest, e.cfg.Timings.LeaseDuration))\n	if e.now < due && len(e.shards) == 0 {"),
	one("R6b", "believes a Lease restored from a backup", recordFile,
		"l.UID != \"\" && l.Annotations[AnnotationClaimed] == string(l.UID)", `l.Annotations[AnnotationClaimed] != ""`),
	one("R6b", "vouches for the first Lease by a layout record made anew", layoutFile,
		"settled := e.layoutSettled(known)\n", "settled := e.layoutSettled(known) || e.now > 0\n"),
	one("R7", "does not increment the epoch", claimFile,
		"	return epoch + 1\n", "	return epoch\n"),
	one("R8", "takes over after the RenewDeadline", peerFile,
		"return e.confirmedAt(max(since, e.session.since).Add(duration))",
		"return e.confirmedAt(max(since, e.session.since).Add(e.cfg.Timings.RenewDeadline))"),
	one("R9", "counts validity from the reply, not from the send", sessionFile,
		"		if r.Outcome != OK && s.confirmed < sent {",
		"		if r.Outcome == OK && s.until != 0 {\n			s.until = e.now.Add(e.cfg.Timings.RenewDeadline)\n			e.emit(Extended{Until: s.until})\n		}\n		if r.Outcome != OK && s.confirmed < sent {"),
	one("R9", "counts validity from the event, not from the send", sessionFile,
		"	until := at.Add(e.cfg.Timings.RenewDeadline)\n	if until <= e.now {",
		"	until := e.now.Add(e.cfg.Timings.RenewDeadline) + 0*at\n	if until <= e.now {"),
	one("R9", "takes any attempt in the record for its last one", sessionFile,
		"	at, ok := s.sent.find(number)\n", "	at, ok := s.sent.newest(), len(s.sent) > 0\n"),
	one("R9", "ends a session without a resourceVersion", peerFile,
		"	op.Lease.Annotations = annotate(op.Lease.Annotations, map[string]string{AnnotationEnded: identity})\n",
		"	op.Lease.Annotations = annotate(op.Lease.Annotations, map[string]string{AnnotationEnded: identity})\n	op.Lease.ResourceVersion = \"\"\n"),
	{
		name: "writes over that its own session was ended", rule: "R1",
		edits: []edit{
			{sessionFile, "	case own.member.Holder == id && own.member.Ended == id:\n", "	case own.member.Holder == id && own.member.Ended == id && e.now < 0:\n"},
			{sessionFile, "		ended = own.member.Ended\n", ""},
		},
	},
	one("R10", "takes the death of a container's last run for that of this one", peerFile,
		"slices.Contains(e.dead, e.view.who(identity).Replica)",
		"slices.ContainsFunc(e.dead, func(r Replica) bool {\n		r.Boot = e.view.who(identity).Boot\n		return r == e.view.who(identity).Replica\n	})"),
	one("R14", "treats a foreign holder as nobody", claimFile,
		"(s.Holder == e.Identity() || e.over(s.Holder) || e.knownDead(s.Holder) || e.confirmedAt(due))", "(e.now > 0 || e.confirmedAt(due))"),
	one("R14", "ignores how long a foreign holder asked for", claimFile,
		"duration := cmp.Or(s.Duration, e.cfg.Timings.LeaseDuration)",
		"duration := cmp.Or(e.cfg.Timings.LeaseDuration/2, s.Duration)"),
	one("R14", "lets the standard rules take a Lease that a session holds", claimFile,
		"	l.Spec.LeaseDurationSeconds = ptr.To[int32](foreignDuration)\n",
		"	l.Spec.LeaseDurationSeconds = ptr.To(int32(e.cfg.Timings.LeaseDuration / time.Second))\n"),
	one("R15", "lets the clocks of others run while it sees nothing", peerFile,
		"return e.confirmedAt(max(since, e.session.since).Add(duration))",
		"return e.now >= since.Add(duration)"),
	{
		name: "leaves the resourceVersion out", rule: "",
		edits: []edit{{
			claimFile, "	l.Spec.HolderIdentity = &holder\n	l.Spec.LeaseDurationSeconds",
			"	l.ResourceVersion = \"\"\n	l.Spec.HolderIdentity = &holder\n	l.Spec.LeaseDurationSeconds",
		}},
	},
	one("", "gives a shard away before the work has ended", claimFile,
		"if c.phase == draining && c.drained && c.working == 0 {", "if c.phase == draining {"),
	one("", "gives a shard away while work of an older term goes on", claimFile,
		"if c.phase == draining && c.drained && c.working == 0 {", "if c.phase == draining && c.drained {"),
	one("", "hands over to members that are not live", planFile,
		"		case e.over(m.Holder), e.expired(m.Holder, m.Duration):\n			continue\n", ""),
	one("", "moves shards to an older revision", assignFile,
		"k := key{c.Revision, c.class}", "k := key{min(c.Revision, 0), c.class}"),
	one("", "gives shards to members that are not ready", assignFile,
		"c.Ready && !c.Leaving && !c.Cordoned {", "!c.Leaving && !c.Cordoned {"),
	one("", "does not tell the next holder what was written", claimFile,
		"encodeMap(newest(known.shard.Carried, c.carried))", "encodeMap(newest(known.shard.Carried, nil))"),
	one("", "pauses for as long as a 429 asks", machineFile,
		"min(max(r.RetryAfter, 0), interval/2)", "min(max(r.RetryAfter, 0), 100*interval)"),
	one("", "takes any later holder of a record for the end of a session", peerFile,
		"return later.Replica == holder.Replica && later.Incarnation > holder.Incarnation",
		"return later != holder"),
	one("", "sends a second request while one is under way", machineFile,
		"	if e.busy[name] {\n		return false\n	}\n", "	delete(e.busy, name)\n"),
	one("", "begins terms after it has told that its session is over", sessionFile,
		" && now < s.until && !s.ending }", " && now < s.until }"),
	one("", "lets a term in lease mode go on past its own Lease", renewalFile,
		"c.term.Mode == LeaseMode && e.now >= c.until {", "c.term.Mode == LeaseMode && e.now < 0 {"),
	one("", "counts a renewal in lease mode from when it is seen", renewalFile,
		"	c.until = max(c.until, at.Add(e.cfg.Timings.RenewDeadline))\n",
		"	c.until = max(c.until, e.now.Add(e.cfg.Timings.RenewDeadline))\n"),
	one("", "begins a term without its backlog (no enqueue on promotion)", listFile,
		"return append(within(t.Bucket, cached), within(t.Bucket, l.gone.without(now, cached))...)",
		"return within(t.Bucket, l.gone.without(now, cached))"),
	one("", "drops what changes while a term takes keys", listFile,
		"			return p.newest, p.taking\n", "			return p.newest, p.taking && p.newest.Number == 0\n"),
	one("", "forgets a key whose reconcile failed", listFile,
		"		return Retry\n", "		return Forget\n"),
	one("", "reconciles a key that an older term still runs", listFile,
		"if _, runs := l.running[o.Key]; runs || !c.Valid", "if !c.Valid"),
	one("", "starts reconciles after the validity", listFile,
		"runs || !c.Valid || !c.Synced", "runs || !c.Synced"),
	one("", "does not wait for what runs when it drains", listFile,
		"		if of == t {\n			return false\n		}\n", "		_ = of\n"),
	one("", "sends writes after the work has ended", writesFile,
		"	if w.closed {\n", "	if w.closed && w.unanswered < 0 {\n"),
	one("", "claims a bucket before the old ones that it overlaps are sealed", familyFile,
		" && known.shard.Sealed == 0 && e.sealed(p)", " && known.shard.Sealed == 0"),
	one("", "seals a bucket while its work goes on in an earlier session", claimFile,
		"	case c.working > 0:\n		return // what gives", "	case c.working < 0:\n		return // what gives"),
	one("", "goes by its configuration instead of the layout record", familyFile,
		"	if l, ok := e.layouts[family]; ok {\n		return l, true\n	}\n",
		"	if l, ok := e.layouts[family]; ok {\n		return LayoutFamily{Partitioning: e.configuredAs(family), Generation: l.Generation}, true\n	}\n"),
	one("", "never lets the seals of a change be the last word", layoutFile,
		"known == nil || !e.view.settled(known) || known.shard.Sealed < l.Generation", "known == nil || !e.view.settled(known) || known.shard.Sealed <= l.Generation"),
	one("", "uses the Leases of an earlier layout again", familyFile,
		"	if known.shard.Sealed > 0 || p.use == coming && known.shard.Claimed {\n", "	if known.shard.Sealed < 0 {\n"),
	one("G2", "sends writes past the validity", reconcileFile,
		"	if !t.valid() || !t.writes.Send() {", "	if t.over || !t.writes.Send() {"),
	one("R13", "takes a cancelled write for one that was not carried out", writesFile,
		"return w.closed && w.unanswered == 0", "return w.closed"),
	{
		name: "goes by the wall clock of others", rule: "",
		edits: []edit{
			{machineFile, "	now      Instant\n", "	Wall     time.Time\n	now      Instant\n"},
			{
				peerFile, "		since = m.changed\n",
				"		since = e.now.Add(-e.Wall.Sub(m.member.Renewed))\n",
			},
			{
				simReplicaFile, "	now := r.now()\n",
				"	now := r.now()\n	r.Election.Wall = time.Unix(Epoch, 0).Add(r.w.now + r.wall)\n",
			},
		},
	},
	one("G3", "leaves a Lease without the labels that the API server's fence goes by", claimFile,
		"	case !e.unlabelled(c.shard, known):\n", "	case !e.unlabelled(c.shard, known) || c.shard != \"\":\n"),
}
