// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shardctl/shardctl/internal/dashboard/scene"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// A replica that is cut off shows the group as it was, and says so; nobody lapses by
// that. Once it sees something again all is taken as new only after a moment.
func TestViewThatIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scene.New()
		o := newObserver(optionsFor(s))
		see := func(fresh bool) Snapshot {
			leases, _ := s.Leases()
			o.look(leases, fresh, time.Now())
			return o.newest.Snapshot
		}
		want := func(when string, got Snapshot, view ViewState, held int) {
			t.Helper()
			if got.View.State != view || got.Summary.ShardsHeld != held {
				t.Errorf("%s: the view is %s, %d shards are held; want %s, %d", when, got.View.State, got.Summary.ShardsHeld, view, held)
			}
		}
		want("before the first list", see(false), ViewWaiting, 0)
		time.Sleep(time.Hour)
		want("an hour before the first list", see(false), ViewWaiting, 0)
		s.Join("ann")
		s.Make("a")
		s.Claim("a", "ann")
		want("listed", see(true), ViewCurrent, 1)
		seen := time.Now()
		time.Sleep(scene.LeaseDuration/2 - time.Second)
		want("a heartbeat is late", see(false), ViewCurrent, 1)
		time.Sleep(2 * time.Second)
		want("half a LeaseDuration without any", see(false), ViewOld, 1)
		time.Sleep(time.Hour)
		cutOff := see(false)
		want("an hour without any", cutOff, ViewOld, 1)
		if !cutOff.View.Newest.Equal(seen) {
			t.Errorf("the newest was seen at %v, want %v", cutOff.View.Newest, seen)
		}
		s.Beat("ann")
		want("one again", see(true), ViewOld, 1)
		time.Sleep(settling)
		want("and all the others", see(false), ViewCurrent, 1)
		if got := lines(o.history.entries); got != "" {
			t.Errorf("the timeline tells of %s, want nothing", got)
		}
	})
}

func TestAViewThatFlickersStaysOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const patience = time.Second
		var s sight
		look := func(fresh bool) ViewState {
			_, state := s.look(fresh, patience, time.Now())
			return state
		}
		look(true)
		for range 3 {
			time.Sleep(patience + time.Millisecond)
			if got := look(true); got != ViewOld {
				t.Fatalf("the view is %s, want %s", got, ViewOld)
			}
		}
	})
}

func TestUnheldSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scene.New()
		s.Join("ann", "bob")
		s.Make("a")
		s.Claim("a", "ann")
		o := newObserver(optionsFor(s))
		see := func() Shard {
			s.Beat("bob")
			leases, _ := s.Leases()
			o.look(leases, true, time.Now())
			return o.newest.Shards[0]
		}
		if got := see(); !got.UnheldSince.IsZero() {
			t.Errorf("a shard that is held is unheld since %v", got.UnheldSince)
		}
		for range scene.LeaseDuration/time.Second + 1 {
			time.Sleep(time.Second)
			see()
		}
		since := time.Now()
		time.Sleep(time.Second)
		if got := see(); !got.UnheldSince.Equal(since) || got.Holder != "ann" {
			t.Errorf("unheld since %v, last held by %q; want %v, ann", got.UnheldSince, got.Holder, since)
		}
		s.Claim("a", "bob")
		if got := see(); !got.UnheldSince.IsZero() {
			t.Errorf("a shard that is held again is unheld since %v", got.UnheldSince)
		}
	})
}

// The record says since when a shard is held, also to a replica that came later.
func TestHeldSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scene.New()
		s.Join("ann")
		s.Make("a", "b")
		s.Backdate(time.Hour)
		s.Claim("a", "ann")
		o := newObserver(optionsFor(s))
		leases, _ := s.Leases()
		shards := o.look(leases, true, time.Now()).Shards
		if got, want := shards[0].Since, time.Now().Add(-time.Hour); !got.Equal(want) {
			t.Errorf("a is held since %v, want %v", got, want)
		}
		if got := shards[1].Since; !got.IsZero() {
			t.Errorf("b, which was never held, is so since %v", got)
		}
	})
}

func TestSummary(t *testing.T) {
	member := func(state string, ready bool, identity string) status.Member {
		return status.Member{Identity: identity, State: state, Ready: ready}
	}
	ann, bob := member(status.Live, true, "ann"), member(status.Live, true, "bob")
	held := func(holder string, load int64) status.Shard {
		return status.Shard{State: status.Held, Holder: holder, Load: load}
	}
	state := func(s status.State) status.Shard { return status.Shard{State: s} }
	for _, tc := range []struct {
		name    string
		members []status.Member
		shards  []status.Shard
		want    Summary
	}{
		{"nothing", nil, nil, Summary{}},
		{"even", []status.Member{ann, bob}, []status.Shard{held("ann", 500), held("bob", 500)}, Summary{Members: 2, MembersReady: 2, Shards: 2, ShardsHeld: 2}},
		{"uneven", []status.Member{ann, bob}, []status.Shard{held("ann", 100), held("bob", 0)}, Summary{Members: 2, MembersReady: 2, Shards: 2, ShardsHeld: 2, Imbalance: 0.5}},
		{
			"idle shards weigh something",
			[]status.Member{ann, bob},
			[]status.Shard{held("ann", 0), held("ann", 0), held("ann", 0), held("bob", 0)},
			Summary{Members: 2, MembersReady: 2, Shards: 4, ShardsHeld: 4, Imbalance: 0.5},
		},
		{
			"members",
			[]status.Member{
				ann, member(status.Leaving, true, "b"), member(status.Cordoned, true, "c"), member(status.Lapsed, true, "d"),
				member(status.Ended, false, "e"), member(status.Live, false, "f"),
			},
			nil,
			Summary{Members: 5, MembersReady: 3},
		},
		{
			"shards", nil,
			[]status.Shard{state(status.Draining), state(status.Foreign), state(status.Pinned), state(status.Unheld), {State: status.Unheld, Unserved: true}},
			Summary{Shards: 4, ShardsHeld: 3},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := summaryOf(status.Status{Members: tc.members, Shards: tc.shards}); got != tc.want {
				t.Errorf("%+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// Of the Leases to the message: a shard of which nobody knows is no alarm.
func TestUnservedShards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scene.New()
		s.Join("ann")
		s.Make("a", "b")
		s.Annotate(scene.Member("ann"), lease.AnnotationServes, "b")
		o := newObserver(optionsFor(s))
		leases, _ := s.Leases()
		seen := o.look(leases, true, time.Now())
		if a, b := seen.Shards[0], seen.Shards[1]; !a.Unserved || a.Problem == "" || b.Unserved || b.Problem != "" {
			t.Errorf("the shards are %+v, want a unserved and b not", seen.Shards)
		}
		if seen.Summary.Shards != 1 || seen.Summary.ShardsHeld != 0 {
			t.Errorf("%d of %d shards are held, want 0 of 1", seen.Summary.ShardsHeld, seen.Summary.Shards)
		}
	})
}

// Whatever happens, and whatever a reader has missed: the update makes of what it had
// just what a new reader gets.
func TestUpdatesMakeWhatSnapshotsSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pods, shards := []string{"ann", "bob", "carl"}, []string{"a", "b.0-of-2", "b.1-of-2", "c"}
		for seed := range uint64(50) {
			r := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance by seed
			s := scene.New()
			s.Join(pods...)
			s.Make(shards...)
			o := newObserver(optionsFor(s))
			leases, _ := s.Leases()
			reader := o.look(leases, true, time.Now())
			for range 40 {
				befall(r, s, pods[r.IntN(len(pods))], shards[r.IntN(len(shards))])
				time.Sleep(time.Duration(r.IntN(5)) * time.Second)
				leases, _ = s.Leases()
				newest := o.look(leases, r.IntN(4) > 0, time.Now())
				if newest == nil || r.IntN(3) == 0 { // a slow reader
					continue
				}
				have := held(reader)
				have.apply(newest.since(reader))
				if want := held(newest); !reflect.DeepEqual(have, want) {
					t.Fatalf("seed %d: the reader has\n%+v\nwant\n%+v", seed, have, want)
				}
				reader = newest
			}
		}
	})
}

// befall has something happen.
func befall(r *rand.Rand, s *scene.Scene, pod, shard string) {
	switch r.IntN(8) {
	case 0:
		s.Join(pod)
	case 1:
		s.Join(pod)
		s.End(pod)
	case 2:
		s.Delete(scene.Member(pod))
	case 3:
		s.Delete(scene.Shard(shard))
	case 4:
		s.Join(pod)
		s.Claim(shard, pod)
	case 5:
		s.Make(shard)
		s.Annotate(scene.Shard(shard), lease.AnnotationPinned, pod)
	case 6:
		s.Join(pod)
		s.HandOver(shard, pod)
	default:
		s.Join(pod)
		s.Beat(pod)
	}
}

// reading is what a reader of a stream has.
type reading struct {
	members  map[string]Member
	shards   map[string]Shard
	summary  Summary
	view     View
	timeline []Entry
}

func held(s *state) reading {
	return reading{maps.Clone(s.members), maps.Clone(s.shards), s.Summary, s.View, append([]Entry{}, s.Timeline...)}
}

func (r *reading) apply(u Update) {
	for _, m := range u.Members {
		r.members[m.ID] = m
	}
	for id, at := range u.Heartbeats {
		m := r.members[id]
		m.Heartbeat = at
		r.members[id] = m
	}
	for _, id := range u.MembersGone {
		delete(r.members, id)
	}
	for _, sh := range u.Shards {
		r.shards[sh.Name] = sh
	}
	for _, name := range u.ShardsGone {
		delete(r.shards, name)
	}
	if u.Summary != nil {
		r.summary = *u.Summary
	}
	r.view = u.View
	r.timeline = append(r.timeline, u.Timeline...)
	r.timeline = r.timeline[max(0, len(r.timeline)-timelineLength):]
}

// The JSON is what pages of other versions read: a change here breaks them.
func TestJSONIsStable(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 123_000_000, time.UTC)
	s := newState(Snapshot{
		Group: "g", Namespace: "ns", Self: "ann", Version: "v1", Started: at,
		View:    View{State: ViewCurrent, Newest: at},
		Summary: Summary{Members: 1, MembersReady: 1, Shards: 1, ShardsHeld: 1, Imbalance: 0.5, Moves: 2},
		Members: []Member{{ID: "g.member-1", Identity: "ann_1_main.x.1", Pod: "ann", State: "live", Ready: true, Revision: 7, Shards: 1, Load: 250, Heartbeat: at}},
		Shards:  []Shard{{Name: "a", Resource: "a", Holder: "ann", Identity: "ann_1_main.x.1", Epoch: 3, State: "held", Since: at, Load: 250}},
		Timeline: []Entry{
			{Seq: 1, At: at, Kind: HandedOver, Shard: "a", From: "bob", To: "ann", Epoch: 3},
			{Seq: 2, At: at, Kind: Lapsed, Member: "bob", Shards: 2},
		},
	}, 1)
	const moment = `"2026-11-20T12:00:00.123Z"`
	for _, tc := range []struct {
		message any
		want    string
	}{
		{
			s.complete(at), `{"group":"g","namespace":"ns","self":"ann","version":"v1","started":` + moment + `,"now":` + moment +
				`,"view":{"state":"current","newest":` + moment + `},"summary":{"members":1,"membersReady":1,"shards":1,"shardsHeld":1,"imbalance":0.5,"moves":2}` +
				`,"members":[{"id":"g.member-1","identity":"ann_1_main.x.1","pod":"ann","state":"live","ready":true,"revision":7,"shards":1,"load":250,"heartbeat":` + moment + `}]` +
				`,"shards":[{"name":"a","resource":"a","holder":"ann","identity":"ann_1_main.x.1","epoch":3,"state":"held","since":` + moment + `,"load":250}]` +
				`,"timeline":[{"seq":1,"at":` + moment + `,"kind":"handed-over","shard":"a","from":"bob","to":"ann","epoch":3},{"seq":2,"at":` + moment + `,"kind":"lapsed","member":"bob","shards":2}]}`,
		},
		{newState(Snapshot{View: View{State: ViewWaiting}}, 1).complete(at), `{"group":"","namespace":"","self":"","version":"","started":"0001-01-01T00:00:00Z","now":` + moment +
			`,"view":{"state":"waiting"},"summary":{"members":0,"membersReady":0,"shards":0,"shardsHeld":0,"imbalance":0,"moves":0},"members":[],"shards":[],"timeline":[]}`},
		{
			Update{Now: at, View: View{State: ViewOld, Newest: at}, Heartbeats: map[string]time.Time{"g.member-1": at}},
			`{"now":` + moment + `,"view":{"state":"old","newest":` + moment + `},"heartbeats":{"g.member-1":` + moment + `}}`,
		},
	} {
		got, err := json.Marshal(tc.message)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != tc.want {
			t.Errorf("the JSON is\n%s\nwant\n%s", got, tc.want)
		}
	}
}

// A look at a large group is taken twice a second in every replica.
func BenchmarkLook(b *testing.B) {
	s := scene.New()
	var pods, shards []string
	for i := range 20 {
		pods = append(pods, fmt.Sprintf("pod-%d", i))
	}
	for i := range 1000 {
		shards = append(shards, fmt.Sprintf("widgets.example.com.%d-of-1000", i))
	}
	s.Join(pods...)
	s.Make(shards...)
	for i, shard := range shards {
		s.Claim(shard, pods[i%len(pods)])
	}
	o := newObserver(optionsFor(s))
	leases, _ := s.Leases()
	for i := 0; b.Loop(); i++ {
		o.look(leases, true, time.Now().Add(time.Duration(i)*time.Millisecond))
	}
}
