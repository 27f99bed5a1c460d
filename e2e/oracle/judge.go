// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package oracle

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Judge replays a history from its beginning and judges what was written in the window. It is a pure function.
func Judge(c Config, h History, w Window) Verdict {
	j := &judge{config: c.withDefaults(), window: w, reigns: map[string]*reign{}, unsettled: map[Key]Unreconciled{}, claimed: map[string]bool{}}
	j.setTimes(h.Writes)
	for _, write := range h.Writes {
		if write.Revision > w.To {
			break
		}
		j.write(write)
	}
	for _, r := range h.Refusals {
		j.refusal(r)
	}
	j.verdict.Unreconciled = slices.SortedFunc(maps.Values(j.unsettled), func(a, b Unreconciled) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Key.String(), b.Key.String()))
	})
	for i := range j.verdict.Unreconciled {
		j.verdict.Unreconciled[i].For = j.to.Sub(j.verdict.Unreconciled[i].Since)
	}
	return j.verdict
}

type judge struct {
	config   Config
	window   Window
	from, to time.Time // when the window was
	verdict  Verdict

	reigns    map[string]*reign // by shard
	unsettled map[Key]Unreconciled
	claimed   map[string]bool // shards that were taken over since the fault
}

// setTimes finds out when the window was, for refusals have no revision: windows that follow on each other have each refusal in
// one of them.
func (j *judge) setTimes(writes []Write) {
	for _, w := range writes {
		if w.Revision <= j.window.From {
			j.from = w.At
		}
		if w.Revision <= j.window.To {
			j.to = w.At
		}
	}
	if j.window.Fault.IsZero() {
		j.window.Fault = j.from
	}
}

func (j *judge) inWindow(revision int64) bool {
	return revision > j.window.From && revision <= j.window.To
}

func (j *judge) write(w Write) {
	if w.Object.Lease != nil {
		if w.Key.Namespace == j.config.Namespace {
			j.lease(w)
		}
		return
	}
	s, ok := j.config.subjectOf(w.Event)
	if !ok {
		return
	}
	if s.rule.Resource == w.Key.Resource {
		j.noteSettled(w)
	}
	switch {
	case w.Evidence == Nobody:
		if j.inWindow(w.Revision) && !(w.Deleted && s.rule.NeverDeletes) {
			j.verdict.Unattributed = append(j.verdict.Unattributed, w)
		}
	case w.Writer.Pod != "":
		j.replicaWrote(w, s)
	}
}

// lease takes what a Lease says from now on.
func (j *judge) lease(w Write) {
	shard, rule, bucket, ok := j.config.shardOf(w.Key.Name)
	if !ok {
		return
	}
	r := j.reigns[shard]
	if r == nil {
		r = &reign{shard: shard, rule: rule, bucket: bucket}
		j.reigns[shard] = r
	}
	over := r.follow(w, j.config.PodOf)
	if over == nil {
		return
	}
	r.awaits = over
	if !j.inWindow(w.Revision) {
		return
	}
	j.verdict.TakeOvers = append(j.verdict.TakeOvers, *over)
	if !j.claimed[shard] && !w.At.Before(j.window.Fault) {
		j.claimed[shard] = true
		j.verdict.HolderGaps = append(j.verdict.HolderGaps, Gap{*over, w.At.Sub(j.window.Fault)})
	}
}

// replicaWrote judges a write. The Leases that are known now are those of lower revisions.
func (j *judge) replicaWrote(w Write, s subject) {
	var own, other *reign
	for _, r := range j.reigns {
		switch {
		case !r.has(s):
		case r.holder != "" && r.pod == w.Writer.Pod:
			own = r
		case r.holder != "" || other == nil || other.holder == "" && r.since.Revision > other.since.Revision:
			other = r // one without a holder, which forbids nothing, is only for the record
		}
	}
	allowed := own != nil && (other == nil || other.holder == "")
	if allowed {
		j.noteWrite(own, w)
	}
	if !j.inWindow(w.Revision) {
		return
	}
	j.verdict.Writes++
	switch w.Evidence {
	case ByOwnWord:
		j.verdict.ByOwnWord++
	case ByRequest:
		j.verdict.ByRequest++
	case ByAudit, Nobody:
	}
	if !allowed {
		j.verdict.Overlapping = append(j.verdict.Overlapping, overlapOf(w, other))
	}
}

// noteWrite measures how long nobody wrote, once the new holder of a shard does.
func (j *judge) noteWrite(r *reign, w Write) {
	if over := r.awaits; over != nil {
		if !r.wrote.IsZero() && j.inWindow(over.Revision) {
			j.verdict.WriteGaps = append(j.verdict.WriteGaps, Gap{*over, w.At.Sub(r.wrote)})
		}
		r.awaits = nil
	}
	r.wrote = w.At
}

func (j *judge) noteSettled(w Write) {
	before, was := j.unsettled[w.Key]
	switch {
	case w.Deleted || w.Object.Settled:
		delete(j.unsettled, w.Key)
	case !was || before.UID != w.Object.UID:
		j.unsettled[w.Key] = Unreconciled{Key: w.Key, UID: w.Object.UID, Revision: w.Revision, Since: w.At}
	}
}

func (j *judge) refusal(r Refusal) {
	ours := slices.ContainsFunc(j.config.Types, func(t TypeRule) bool {
		return t.Resource == r.Resource || slices.Contains(t.Children, r.Resource)
	})
	if !ours || !j.config.covers(r.Namespace) || !r.At.After(j.from) || r.At.After(j.to) {
		return
	}
	if j.verdict.RefusedOf == nil {
		j.verdict.RefusedOf = map[Refused]int{}
	}
	j.verdict.Refused++
	j.verdict.RefusedOf[Refused{r.Writer.Pod, r.Resource}]++
}
