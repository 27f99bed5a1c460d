// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/fence"
	"github.com/shardctl/shardctl/pkg/lease"
)

// tape is an EventRecorder that keeps all Events in memory.
type tape struct {
	mu      sync.Mutex
	said    []string // "type reason action: note"
	about   []*corev1.ObjectReference
	related []runtime.Object
}

func (p *tape) Eventf(regarding, related runtime.Object, eventtype, reason, action, note string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, fmt.Sprintf("%s %s %s: ", eventtype, reason, action)+fmt.Sprintf(note, args...))
	p.about = append(p.about, regarding.(*corev1.ObjectReference))
	p.related = append(p.related, related)
}

// of are those of one shard, in the order in which they were said.
func (p *tape) of(shard string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for i, said := range p.said {
		if p.about[i].Name == lease.ShardLeaseName("g", shard) {
			all = append(all, said)
		}
	}
	return all
}

// recorded has a replica record what becomes of its shards; before it runs.
func (m *member) recorded(p *tape) *member {
	m.opts.Recorder = p
	m.recorder = newRecorder(m.opts)
	return m
}

// startRecorded runs a replica that works for one role.
func (c *cluster) startRecorded(name string, p *tape) *member {
	c.t.Helper()
	m := c.prepare(name).recorded(p)
	if err := m.AddRole(Role{Name: "report", Run: func(ctx context.Context) error { <-ctx.Done(); return nil }}); err != nil {
		c.t.Fatal(err)
	}
	m.run()
	return m
}

func TestEventsTellOfAHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := newCluster(t), &tape{}
		a := c.startRecorded("a", p)
		c.eventually(firstStart, "the first holds it", func() bool { return a.holds()["report"] })
		b := c.startRecorded("b", p)
		c.eventually(firstStart, "the second is ready", func() bool { return b.Ready() == nil })
		c.stop(a)
		c.eventually(firstStart, "the second holds it", func() bool { return b.holds()["report"] })
		c.stop(b)
		want := []string{
			"Normal Acquired Acquire: a acquired report: vacant (epoch 1)",
			"Normal HandedOver HandOver: a handed report over to b: leaving (epoch 1)",
			"Normal Acquired Acquire: b acquired report from a: transfer (epoch 2)",
			"Normal Released Release: b released report: leaving (epoch 2)",
		}
		got := p.of("report")
		slices.Sort(got) // a and b have their own loops
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("the Events are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}

func TestEventsTellOfATakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, q := newCluster(t), &tape{}, &tape{}
		cut := c.partition("a")
		a := c.startRecorded("a", p)
		c.eventually(firstStart, "the first holds it", func() bool { return a.holds()["report"] })
		b := c.startRecorded("b", q)
		c.eventually(firstStart, "the second is ready", func() bool { return b.Ready() == nil })
		cut.Store(true)
		c.eventually(firstStart, "the second holds it", func() bool { return b.holds()["report"] })
		cut.Store(false)
		c.eventually(firstStart, "the first is ready again", func() bool { return a.Ready() == nil })
		c.stop(a, b)
		if got, want := p.of("report")[1], "Warning Lost Stop: a lost report: lapsed (epoch 1)"; got != want {
			t.Errorf("the first says %q, want %q", got, want)
		}
		if got, want := q.of("report")[0], "Normal Acquired Acquire: b acquired report from a: take-over (epoch 2)"; got != want {
			t.Errorf("the second says %q, want %q", got, want)
		}
	})
}

func TestEventsAreOfLeasesAndRelatedToThePod(t *testing.T) {
	term := lease.Term{Shard: "widgets.example.com.0-of-2", UID: "lease-uid", Epoch: 3, How: lease.CauseVacant}
	for uid, want := range map[types.UID]string{
		"":        "<nil>",
		"pod-uid": (&corev1.ObjectReference{Kind: "Pod", Namespace: "ns", Name: "p", UID: "pod-uid", APIVersion: "v1"}).String(),
	} {
		p := &tape{}
		r := newRecorder(GroupOptions{Name: "g", Namespace: "ns", Pod: "p", PodUID: uid, Recorder: p})
		r.acquired(term)
		ended, end := context.WithCancel(t.Context())
		end()
		if err := r.recordLoop(ended); err != nil {
			t.Fatal(err)
		}
		about := corev1.ObjectReference{
			APIVersion: "coordination.k8s.io/v1", Kind: "Lease", Namespace: "ns", Name: "g.widgets.example.com.0-of-2", UID: "lease-uid",
		}
		if len(p.about) != 1 || *p.about[0] != about || fmt.Sprint(p.related[0]) != want {
			t.Errorf("it is about %v, and related to %v; want %v and %s", p.about, p.related, about, want)
		}
	}
}

// What drains is told of once it has been given away.
func TestNoEventsOfADrain(t *testing.T) {
	r := newRecorder(GroupOptions{Name: "g", Recorder: &tape{}})
	r.lost(lease.Revoked{Graceful: true})
	if len(r.notes) != 0 {
		t.Error("a drain that begins was noted")
	}
}

// An earlier session of this very Pod is not worth a word.
func TestEventsNameTheLastHolder(t *testing.T) {
	id := func(pod string) string {
		return lease.Identity{Replica: lease.Replica{Pod: pod, UID: "uid", Container: "main", Boot: "boot"}}.String()
	}
	for from, want := range map[string]string{
		"":         "Normal Acquired Acquire: a acquired report: vacant (epoch 5)",
		id("b"):    "Normal Acquired Acquire: a acquired report from b: vacant (epoch 5)",
		id("a"):    "Normal Acquired Acquire: a acquired report: vacant (epoch 5)",
		"somebody": "Normal Acquired Acquire: a acquired report from somebody: vacant (epoch 5)",
	} {
		p := &tape{}
		r := newRecorder(GroupOptions{Name: "g", Pod: "a", Recorder: p})
		r.acquired(lease.Term{Shard: "report", Epoch: 5, How: lease.CauseVacant, From: from})
		r.tell(<-r.notes)
		if got := p.of("report"); !slices.Equal(got, []string{want}) {
			t.Errorf("from %q: %q, want %q", from, got, want)
		}
	}
}

// The driver's goroutine never waits, whatever the recorder does.
func TestNotesThatNobodyTakesAreLeftOut(t *testing.T) {
	r := newRecorder(GroupOptions{Name: "g", Recorder: &tape{}})
	for range 2 * maxNotes {
		r.acquired(lease.Term{Shard: "report"})
	}
	if len(r.notes) != maxNotes {
		t.Errorf("%d notes wait, want %d", len(r.notes), maxNotes)
	}
	var none *recorder // nobody records
	none.acquired(lease.Term{})
	none.passed(lease.Passed{})
	none.lost(lease.Revoked{})
	none.refused(nil)
}

// A worker whose writes the API server's fence refuses may try again and again.
func TestEventsTellOfTheServersFenceNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFence(&refusing{until: time.Now().Add(time.Hour), body: refusal(fence.MessagePrefix + "b holds the shard")})
		f.recorder = newRecorder(GroupOptions{Name: "g", Pod: "a", Recorder: &tape{}})
		term, _ := testTerm(time.Hour)
		time.Sleep(termUnknownFor) // the fence knows of the term by now
		for range 25 {
			req, err := http.NewRequestWithContext(inTerm(t.Context(), term), http.MethodPut, "https://api/apis/example.com/v1/namespaces/ns/widgets/w", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := f.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := len(f.recorder.notes); n != 3 {
			t.Fatalf("25 refusals in 25 s were noted %d times, want 3", n)
		}
		n := <-f.recorder.notes
		want := fmt.Sprintf("wrote as the holder of %s (epoch %d), and the fence in the API server refused it", term.Shard(), term.Epoch())
		if n.kind != corev1.EventTypeWarning || n.reason != reasonFenced || n.text != want {
			t.Errorf("the note is %+v, want %q", n, want)
		}
	})
}
