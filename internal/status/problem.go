// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/shardctl/shardctl/pkg/lease"
)

// report is what a member says that does not work.
type report struct {
	by *memberRecord
	// about is a shard; or a family, as where a cache is not complete, which all
	// buckets need.
	about string
	text  string
}

// family is the one that the report is about, and whether it is about a single
// bucket of that.
func (r report) family() (name string, oneBucket bool) {
	name, bucket := lease.ParseShardName(r.about)
	return name, bucket.Of > 0
}

// reports are those of all members whose sessions go on, by member. What is said
// of single buckets comes first, since that is more exact.
func (r *records) reports() []report {
	var buckets, families []report
	for _, m := range r.members {
		if !m.Current() {
			continue
		}
		for about, text := range m.problems {
			one := report{by: m, about: about, text: text}
			if _, oneBucket := one.family(); oneBucket {
				buckets = append(buckets, one)
			} else {
				families = append(families, one)
			}
		}
	}
	for _, some := range [][]report{buckets, families} {
		slices.SortFunc(some, func(a, b report) int {
			return cmp.Or(cmp.Compare(a.by.Identity, b.by.Identity), cmp.Compare(a.about, b.about))
		})
	}
	return append(buckets, families...)
}

// place gives each report to the shards that it is about, or else to the member
// that made it. It returns a shard for each family that has none, such as a type
// that is not served: the members alone know of it.
func place(reports []report, shards []Shard) (missing []Shard) {
	of := map[string][]*Shard{} // by name of the shard, and of its family
	for i := range shards {
		family, _ := lease.ParseShardName(shards[i].Name)
		of[family] = append(of[family], &shards[i])
		if family != shards[i].Name {
			of[shards[i].Name] = []*Shard{&shards[i]}
		}
	}
	told, untold := map[string]bool{}, map[*memberRecord]int{}
	for _, r := range reports {
		family, oneBucket := r.family()
		switch {
		case r.about == lease.ProblemOfReplica:
			r.by.Problem = r.text
		case len(of[family]) == 0:
			if !told[family] {
				missing = append(missing, Shard{Name: r.about, Bucket: bucketOf(r.about), State: Unheld, Problem: r.said()})
				told[family] = true
			}
		case r.give(of[r.about]) || oneBucket:
			// What fails in a bucket only its holder knows: from anybody else it is
			// older than the hand-over.
		case r.by.Problem == "":
			r.by.Problem = r.about + ": " + r.text
		default:
			untold[r.by]++
		}
	}
	for m, more := range untold {
		m.Problem += fmt.Sprintf(", and %d more", more)
	}
	return missing
}

// give has the shards that the member holds, or else those that nobody does, tell
// the report if they have nothing to tell yet. It is false if there are none.
func (r report) give(shards []*Shard) bool {
	given := false
	to := func(is func(*Shard) bool) {
		for _, sh := range shards {
			if is(sh) {
				given = true
				sh.Problem = cmp.Or(sh.Problem, r.said())
			}
		}
	}
	to(func(sh *Shard) bool { return sh.State.Active() && sh.Holder == r.by.Identity })
	if !given {
		to(func(sh *Shard) bool { return !sh.State.Active() })
	}
	return given
}

// said is the report with who makes it.
func (r report) said() string { return r.by.Pod + ": " + r.text }

// explain says of shards that nobody holds why nobody does, if nobody could: their role is in
// no configuration any more, or not yet; or those that have it do not take it. Without any
// replica there is another reason for that. While there is still a record of a member that
// did serve it, it may be that just those are lost that should: then the shard is not
// unserved.
func (r *records) explain(shards []Shard) {
	if !slices.ContainsFunc(r.members, func(m *memberRecord) bool { return m.Current() }) {
		return
	}
	for i := range shards {
		sh := &shards[i]
		if sh.State != Unheld {
			continue
		}
		family, _ := lease.ParseShardName(sh.Name)
		var live []*memberRecord
		ever := false
		for _, m := range r.members {
			if !m.Can(family) {
				continue
			}
			ever = true
			if m.Current() {
				live = append(live, m)
			}
		}
		switch {
		case len(live) > 0:
			sh.Problem = declined(family, live, sh.Problem)
		case sh.Problem == "":
			sh.Problem = "no replica serves it: its type or role is in the configuration of none that is live"
			sh.Unserved = !ever
		}
	}
}

// declined adds to what there is to tell of a shard that nobody holds that all who serve it
// decline it, if they do.
func declined(family string, live []*memberRecord, told string) string {
	var who []string
	unfit := true
	for _, m := range live {
		cause := m.Declines[family]
		if cause == "" {
			return told
		}
		unfit = unfit && cause == lease.CauseUnfit
		who = append(who, m.Pod+" ("+string(cause)+")")
	}
	slices.Sort(who)
	switch {
	case !unfit:
		return "no replica takes it now: " + some(who)
	case told == "":
		return "no replica is fit for it"
	default:
		return "no replica is fit for it: " + told
	}
}
