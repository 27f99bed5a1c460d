// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package deployed

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/e2e/oracle"
	"github.com/shardctl/shardctl/internal/status"
)

// change is one change of a shard's holder or epoch, as etcd has it.
type change struct {
	shard    string
	revision int64
	at       time.Time // when the recorder saw it
	before   reign
	after    reign
	// handedOver says that the holder before had ended all its work and then named the next one itself. Whoever takes a shard
	// from another leaves no such word.
	handedOver bool
}

// reign is what a shard's Lease says of who holds it.
type reign struct {
	holder string // identity; empty if nobody
	epoch  int32
}

// String is for people.
func (c change) String() string {
	return fmt.Sprintf("%s revision %d: %s went from %q (epoch %d) to %q (epoch %d), handed over: %t",
		c.at.Format(time.StampMilli), c.revision, c.shard, c.before.holder, c.before.epoch, c.after.holder, c.after.epoch, c.handedOver)
}

// moved says that the shard is with another Pod than before.
func (c change) moved() bool {
	return c.before.holder != "" && status.PodOf(c.before.holder) != status.PodOf(c.after.holder)
}

// changesIn reads the changes of all shards out of events. Those up to a revision count for what was before only.
func changesIn(events []oracle.Event, from, to int64) changes {
	var found changes
	now := map[string]reign{}
	for _, e := range events {
		if e.Revision > to {
			break
		}
		shard, isOurs := strings.CutPrefix(e.Key.Name, name+".")
		if e.Object.Lease == nil || !isOurs || !strings.Contains(shard, demoGroup) {
			continue
		}
		after := reign{e.Object.Lease.Holder, e.Object.Lease.Epoch}
		if e.Deleted {
			after = reign{}
		}
		before := now[shard]
		now[shard] = after
		if before == after || e.Revision <= from {
			continue
		}
		found = append(found, change{
			shard: shard, revision: e.Revision, at: e.At, before: before, after: after,
			handedOver: before.holder != "" && after.holder != "" && !e.Object.Lease.Left.IsZero(),
		})
	}
	return found
}

type changes []change

// during returns what has changed while do ran.
func (s *suite) during(t *testing.T, do func()) changes {
	t.Helper()
	from := s.revision(t)
	do()
	to := s.revision(t)
	s.awaitSeen(t, to)
	return changesIn(s.recorder.Events(), from, to)
}

// revision is up to where everything has been written that was written before.
func (s *suite) revision(t *testing.T) int64 {
	t.Helper()
	list, err := s.kube.CoordinationV1().Leases(namespace).List(t.Context(), metav1.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	revision, err := strconv.ParseInt(list.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func (s *suite) awaitSeen(t *testing.T, revision int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := s.recorder.WaitFor(ctx, revision); err != nil {
		t.Fatal(err)
	}
}

// of returns the changes of a Pod's shards: those that it lost.
func (cs changes) of(pod string) changes {
	return slices.DeleteFunc(slices.Clone(cs), func(c change) bool { return status.PodOf(c.before.holder) != pod })
}

// moves counts, of each shard that changed Pods, how often.
func (cs changes) moves() map[string]int {
	moves := map[string]int{}
	for _, c := range cs {
		if c.moved() {
			moves[c.shard]++
		}
	}
	return moves
}

// expectGivenAway fails the test for each change that was not a hand-off: a shard was taken away, or had no holder. With one exception:
// who leaves may be given a shard in that very moment, by one that does not know of it yet. What a session that is over was given it
// never had, and anybody takes it at once.
func (cs changes) expectGivenAway(t *testing.T) {
	t.Helper()
	for i, c := range cs {
		bounced := slices.ContainsFunc(cs[:i], func(before change) bool {
			return before.shard == c.shard && before.handedOver && before.after == c.before
		})
		switch {
		case c.handedOver:
		case bounced:
			t.Logf("given to a replica that was leaving: %s", c)
		default:
			t.Errorf("not handed over: %s", c)
		}
	}
}

// expectTaken fails the test for each change that was a hand-off, for who had the shard could hand nothing over.
func (cs changes) expectTaken(t *testing.T) {
	t.Helper()
	for _, c := range cs {
		if c.handedOver {
			t.Errorf("not taken from who had it: %s", c)
		}
	}
}

// logMoves tells how often shards moved and returns the mean over so many, and the most.
func (cs changes) logMoves(t *testing.T, shards int) (mean float64, most int) {
	t.Helper()
	moves := cs.moves()
	total := 0
	for _, n := range moves {
		total += n
		most = max(most, n)
	}
	mean = float64(total) / float64(shards)
	t.Logf("%d moves of %d shards: %.2f per shard, of one %d at most: %v", total, shards, mean, most, slices.Sorted(maps.Keys(moves)))
	return mean, most
}

// logSince tells how long after a moment each shard got its next holder.
func (cs changes) logSince(t *testing.T, what string, moment time.Time) {
	t.Helper()
	for _, c := range cs {
		t.Logf("%s got its next holder %s after %s", c.shard, c.at.Sub(moment).Round(time.Millisecond), what)
	}
}

// from returns the changes by which a session lost shards.
func (cs changes) from(session string) changes {
	return slices.DeleteFunc(slices.Clone(cs), func(c change) bool { return c.before.holder != session })
}

// expectMoves fails the test if a shard has moved too often, or all together have.
func (cs changes) expectMoves(t *testing.T, shards, most int, mean float64) {
	t.Helper()
	isMean, isMost := cs.logMoves(t, shards)
	if isMost > most || isMean > mean {
		t.Errorf("shards moved %.2f times, one %d times, want at most %.2f and %d: %v", isMean, isMost, mean, most, cs)
	}
}

// expectEpochs fails the test unless epochs go up by one with each new holder, and never down. (A session that gives a shard to
// itself again begins a new term too.)
func (cs changes) expectEpochs(t *testing.T) {
	t.Helper()
	for _, c := range cs {
		gained := c.after.holder != c.before.holder && c.after.holder != ""
		if rise := c.after.epoch - c.before.epoch; rise < 0 || rise > 1 || gained && rise != 1 {
			t.Errorf("the epoch does not go up by one: %s", c)
		}
	}
}
