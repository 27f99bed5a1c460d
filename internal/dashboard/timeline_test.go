// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/shardctl/shardctl/internal/dashboard/scene"
	"github.com/shardctl/shardctl/pkg/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func optionsFor(s *scene.Scene) Options {
	return Options{Group: scene.Group, Namespace: "ns", Self: "ann", Version: "v1", Leases: s.Leases}
}

// line is an entry as a test says it.
func (e Entry) line() string {
	text := string(e.Kind) + " " + cmp.Or(e.Shard, e.Member)
	if e.Shard != "" && (e.From != "" || e.To != "") {
		text += fmt.Sprintf(" %s->%s %d", e.From, e.To, e.Epoch)
	}
	if e.Shards > 0 {
		text += fmt.Sprintf(" with %d", e.Shards)
	}
	return text
}

// lines are those of entries, joined by " | ".
func lines(entries []Entry) string {
	all := make([]string, 0, len(entries))
	for _, e := range entries {
		all = append(all, e.line())
	}
	return strings.Join(all, " | ")
}

// What is told of a group in which ann holds a, and bob is there too; c is a shard
// that nobody has held. The steps happen between two looks, unless one is a look.
func TestTimeline(t *testing.T) {
	type step = func(s *scene.Scene)
	var look step // nil
	join := func(pods ...string) step { return func(s *scene.Scene) { s.Join(pods...) } }
	annotate := func(name, key, value string) step { return func(s *scene.Scene) { s.Annotate(name, key, value) } }
	claim := func(shard, pod string) step { return func(s *scene.Scene) { s.Claim(shard, pod) } }
	handOver := func(shard, pod string) step { return func(s *scene.Scene) { s.HandOver(shard, pod) } }
	release := func(shard string) step { return func(s *scene.Scene) { s.Release(shard) } }
	end := func(pod string) step { return func(s *scene.Scene) { s.End(pod) } }
	remove := func(name string) step { return func(s *scene.Scene) { s.Delete(name) } }
	beat := func(pods ...string) step { return func(s *scene.Scene) { s.Beat(pods...) } }
	leaving := annotate(scene.Member("ann"), lease.AnnotationLeaving, "true")
	// ann sends no heartbeat for longer than a LeaseDuration, bob does.
	var silence []step
	for range scene.LeaseDuration/time.Second + 1 {
		silence = append(silence, func(*scene.Scene) { time.Sleep(time.Second) }, beat("bob"), look)
	}
	for _, tc := range []struct {
		name  string
		steps []step
		want  string
	}{
		{"nothing", nil, ""},
		{"heartbeats and loads", []step{beat("ann", "bob"), annotate(scene.Member("ann"), lease.AnnotationLoad, `{"a":500}`)}, ""},
		{"a hand-over", []step{handOver("a", "bob")}, "handed-over a ann->bob 2"},
		{"two between two looks", []step{handOver("a", "bob"), handOver("a", "ann"), handOver("a", "bob")}, "handed-over a ann->bob 4"},
		{
			"a crash",
			append(slices.Clone(silence), end("ann"), claim("a", "bob")),
			"lapsed ann with 1 | ended ann | taken-over a ann->bob 2",
		},
		{"a known death", []step{end("ann"), look, claim("a", "bob")}, "ended ann with 1 | taken-over a ann->bob 2"},
		{"a known death, all between two looks", []step{end("ann"), claim("a", "bob")}, "ended ann with 1 | taken-over a ann->bob 2"},
		{"a restart", []step{end("ann"), look, join("ann"), claim("a", "ann")}, "ended ann with 1 | rejoined ann | reclaimed a ann->ann 2"},
		{"a leaver", []step{leaving, look, handOver("a", "bob"), look, end("ann"), look, remove(scene.Member("ann"))}, "leaving ann | handed-over a ann->bob 2 | left ann"},
		{"a leaver, seen at last when it is gone", []step{leaving, look, handOver("a", "bob"), remove(scene.Member("ann"))}, "leaving ann | handed-over a ann->bob 2 | left ann"},
		{"a leaver that is killed", []step{leaving, look, end("ann"), claim("a", "bob")}, "leaving ann | ended ann with 1 | taken-over a ann->bob 2"},
		{"a leaver, all between two looks", []step{leaving, handOver("a", "bob"), end("ann"), remove(scene.Member("ann"))}, "handed-over a ann->bob 2 | left ann"},
		{"a leaver whose Lease is still there", []step{leaving, handOver("a", "bob"), end("ann"), look, remove(scene.Member("ann"))}, "handed-over a ann->bob 2 | left ann"},
		{"a leaver that is the last one", []step{leaving, release("a"), end("ann"), remove(scene.Member("ann"))}, "released a ann-> 1 | left ann"},
		{"a leaver that had nothing", []step{handOver("a", "bob"), look, leaving, end("ann"), remove(scene.Member("ann"))}, "handed-over a ann->bob 2 | left ann"},
		{"a leaver of whose shards one was taken", []step{claim("c", "ann"), look, leaving, handOver("a", "bob"), end("ann"), claim("c", "bob"), remove(scene.Member("ann"))}, "acquired c ->ann 1 | handed-over a ann->bob 2 | taken-over c ann->bob 2 | vanished ann with 2"},
		{"a leaver that still is named", []step{claim("c", "ann"), look, leaving, handOver("a", "bob"), end("ann"), remove(scene.Member("ann"))}, "acquired c ->ann 1 | handed-over a ann->bob 2 | vanished ann with 2"},
		{"a crash, all between two looks", []step{end("ann"), claim("a", "bob"), remove(scene.Member("ann"))}, "taken-over a ann->bob 2 | vanished ann with 1"},
		{"a crash of one that had nothing", []step{handOver("a", "bob"), look, end("ann")}, "handed-over a ann->bob 2 | ended ann"},
		{"a session that lapsed, and is gone", append(append([]step{handOver("a", "bob"), look}, silence...), remove(scene.Member("ann"))), "handed-over a ann->bob 2 | lapsed ann | vanished ann"},
		{"a release", []step{release("a")}, "released a ann-> 1"},
		{"a release, and a claim", []step{release("a"), look, claim("a", "bob")}, "released a ann-> 1 | acquired a ann->bob 2"},
		{"both between two looks", []step{release("a"), claim("a", "bob")}, "handed-over a ann->bob 2"},
		{"a first claim", []step{claim("c", "bob")}, "acquired c ->bob 1"},
		{"a take-over after a hand-over", []step{handOver("a", "bob"), look, end("bob"), look, claim("a", "ann")}, "handed-over a ann->bob 2 | ended bob with 1 | taken-over a bob->ann 3"},
		{"a shard that comes and goes", []step{func(s *scene.Scene) { s.Make("d") }, look, remove(scene.Shard("d"))}, "added d | removed d"},
		{"a member that joins", []step{join("carl")}, "joined carl"},
		{"a cordon", []step{annotate(scene.Member("ann"), lease.AnnotationCordoned, "true"), look, annotate(scene.Member("ann"), lease.AnnotationCordoned, "")}, "cordoned ann | uncordoned ann"},
		{"a session that only seemed to have lapsed", append(slices.Clone(silence), beat("ann")), "lapsed ann with 1 | returned ann"},
		{"a member Lease that is gone", []step{remove(scene.Member("ann"))}, "vanished ann with 1"},
		{"a session that was over before it was seen", []step{join("carl"), end("carl"), look, remove(scene.Member("carl"))}, ""},
		{
			"a foreign elector that keeps what it finds",
			[]step{handOver("a", "bob"), look, end("bob"), annotate(scene.Shard("a"), lease.AnnotationSession, ""), claim("a", "ann")},
			"handed-over a ann->bob 2 | ended bob with 1 | taken-over a bob->ann 3",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := scene.New()
				s.Join("ann", "bob")
				s.Make("a", "c")
				s.Claim("a", "ann")
				o := newObserver(optionsFor(s))
				see := func() {
					leases, _ := s.Leases()
					o.look(leases, true, time.Now())
				}
				see()
				for _, step := range tc.steps {
					if step == nil {
						see()
						continue
					}
					step(s)
					time.Sleep(100 * time.Millisecond)
				}
				if see(); lines(o.history.entries) != tc.want {
					t.Errorf("%s\nwant %s", lines(o.history.entries), tc.want)
				}
			})
		})
	}
}

func TestTimelineIsBounded(t *testing.T) {
	var h timeline
	handedOut := h.entries
	for i := range 3 * timelineLength {
		h.add(time.Unix(int64(i), 0), []Entry{{Kind: Joined}, {Kind: Left}})
		if i == 0 {
			handedOut = h.entries
		}
	}
	if n := len(h.entries); n != timelineLength || h.entries[0].Seq != 5*timelineLength+1 || h.entries[n-1].Seq != 6*timelineLength {
		t.Errorf("%d entries from %d, want the newest %d of %d", n, h.entries[0].Seq, timelineLength, 6*timelineLength)
	}
	if handedOut[0].Seq != 1 || handedOut[1].Kind != Left {
		t.Errorf("what was handed out has become %+v", handedOut)
	}
}

func TestSince(t *testing.T) {
	entries := []Entry{{Seq: 11}, {Seq: 12}, {Seq: 13}}
	for seq, want := range map[int64]int{0: 3, 10: 3, 11: 2, 13: 0, 99: 0} {
		if got := len(since(entries, seq)); got != want {
			t.Errorf("%d entries since %d, want %d", got, seq, want)
		}
	}
	if since(nil, 5) != nil {
		t.Error("there are entries since an empty timeline")
	}
}

func TestMovesAreCountedForFifteenMinutes(t *testing.T) {
	var m moves
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		after time.Duration
		n     int
		want  int
	}{
		{0, 3, 3},
		{30 * time.Second, 2, 5},
		{5 * time.Minute, 1, 6},
		{15 * time.Minute, 0, 6},
		{16 * time.Minute, 0, 1},
		{21 * time.Minute, 0, 0},
		{20 * time.Minute, 4, 4}, // a clock that is set back
		{48 * time.Hour, 1, 1},
	} {
		if got := m.count(tc.n, at.Add(tc.after)); got != tc.want {
			t.Errorf("after %v there were %d moves, want %d", tc.after, got, tc.want)
		}
	}
}

func TestWhatCountsAsAMove(t *testing.T) {
	for _, tc := range []struct {
		e    Entry
		want bool
	}{
		{Entry{Kind: HandedOver, From: "a", To: "b"}, true},
		{Entry{Kind: TakenOver, From: "a", To: "b"}, true},
		{Entry{Kind: Acquired, From: "a", To: "b"}, true},
		{Entry{Kind: Acquired, From: "a", To: "a"}, false},
		{Entry{Kind: Acquired, To: "b"}, false},
		{Entry{Kind: Reclaimed, From: "a", To: "a"}, false},
		{Entry{Kind: Released, From: "a"}, false},
		{Entry{Kind: Joined, Member: "a"}, false},
	} {
		if got := tc.e.move(); got != tc.want {
			t.Errorf("%+v counts: %t, want %t", tc.e, got, tc.want)
		}
	}
}
