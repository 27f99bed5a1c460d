// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/internal/dashboard/scene"
)

// message is an event of a stream; a comment has neither ID nor event.
type message struct {
	id    int
	event string
	data  string
}

// decode decodes the data of a message.
func decode[T any](t *testing.T, m message) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(m.data), &v); err != nil {
		t.Fatalf("%s: %v", m.data, err)
	}
	return v
}

// reader is somebody who reads a stream of events.
type reader struct {
	header http.Header
	// blocked, if set, is what every write waits for; err what it then returns.
	blocked chan struct{}

	mu     sync.Mutex
	status int
	body   strings.Builder
	err    error
}

func (r *reader) Header() http.Header { return r.header }

func (r *reader) WriteHeader(status int) { r.status = status }

func (r *reader) Write(p []byte) (int, error) {
	if r.blocked != nil {
		<-r.blocked
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	return r.body.Write(p)
}

// FlushError is what [http.ResponseController] looks for.
func (r *reader) FlushError() error { return nil }

// read returns what has come since the last call.
func (r *reader) read(t *testing.T) (messages []message) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for block := range strings.SplitSeq(r.body.String(), "\n\n") {
		var m message
		for line := range strings.SplitSeq(block, "\n") {
			switch name, value, _ := strings.Cut(line, ": "); name {
			case "id":
				id, err := strconv.Atoi(value)
				if err != nil {
					t.Fatal(err)
				}
				m.id = id
			case "event":
				m.event = value
			case "data":
				m.data = value
			}
		}
		if block != "" {
			messages = append(messages, m)
		}
	}
	r.body.Reset()
	return messages
}

// world is a dashboard that runs, with who reads it.
type world struct {
	*scene.Scene

	handler http.Handler
	ctx     context.Context
	stop    context.CancelFunc
	running errgroup.Group
}

func newWorld(t *testing.T, s *scene.Scene) *world {
	t.Helper()
	d, err := New(optionsFor(s))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Scene: s, handler: d.Handler()}
	w.ctx, w.stop = context.WithCancel(t.Context())
	w.running.Go(func() error { return d.Run(w.ctx) })
	t.Cleanup(func() {
		w.stop()
		if err := w.running.Wait(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// open opens a stream.
func (w *world) open(t *testing.T, r *reader) (leave context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.header = http.Header{}
	w.running.Go(func() error {
		w.handler.ServeHTTP(r, request)
		return nil
	})
	return cancel
}

// settle waits for as long as updates are apart, and until all have read them.
func settle() {
	time.Sleep(2 * pace)
	synctest.Wait()
}

func TestStreamBeginsWithASnapshotAndGoesOnWithUpdates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t, scene.New()), new(reader)
		defer w.open(t, r)()
		settle()
		first := r.read(t)
		if len(first) != 1 || first[0].event != "snapshot" || decode[Snapshot](t, first[0]).View.State != ViewWaiting {
			t.Fatalf("the first is %+v, want a snapshot that waits", first)
		}
		w.Join("ann")
		w.Make("a")
		settle()
		w.Claim("a", "ann")
		settle()
		updates := r.read(t)
		if len(updates) != 2 || updates[0].event != "update" || updates[1].id <= updates[0].id || updates[0].id <= first[0].id {
			t.Fatalf("updates are %+v, want two, with rising IDs", updates)
		}
		u := decode[Update](t, updates[1])
		if len(u.Shards) != 1 || u.Shards[0].Holder != "ann" || lines(u.Timeline) != "acquired a ->ann 1" || u.Summary == nil || u.Summary.ShardsHeld != 1 {
			t.Errorf("the update is %+v", u)
		}

		again := new(reader)
		defer w.open(t, again)()
		settle()
		second := again.read(t)
		if s := decode[Snapshot](t, second[0]); second[0].event != "snapshot" || s.Group != scene.Group || s.Self != "ann" || s.Version != "v1" ||
			len(s.Members) != 1 || len(s.Shards) != 1 || lines(s.Timeline) != "acquired a ->ann 1" || s.View.State != ViewCurrent {
			t.Errorf("who comes later gets %+v", s)
		}
		if h := again.header; h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("headers are %v", h)
		}
	})
}

// A group of 20 members has 20 heartbeats in 3 s, each an event of the watch.
func TestHeartbeatsAreSentTogetherAndAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pods []string
		for i := range 20 {
			pods = append(pods, fmt.Sprintf("pod-%d", i))
		}
		w, r := newWorld(t, scene.New()), new(reader)
		w.Join(pods...)
		settle()
		defer w.open(t, r)()
		settle()
		r.read(t)
		for _, pod := range pods {
			w.Beat(pod)
			time.Sleep(3 * time.Second / 20)
		}
		settle()
		seen := map[string]bool{}
		updates := r.read(t)
		for _, m := range updates {
			u := decode[Update](t, m)
			if len(m.data) > 1000 || u.Members != nil || u.Shards != nil || u.Summary != nil || u.Timeline != nil {
				t.Errorf("an update says %s, want heartbeats only", m.data)
			}
			for id := range u.Heartbeats {
				seen[id] = true
			}
		}
		if len(seen) != 20 || len(updates) > 7 {
			t.Errorf("%d updates have the heartbeats of %d members, want at most 7, of all 20", len(updates), len(seen))
		}
	})
}

func TestAQuietStreamIsKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t, scene.New()), new(reader)
		defer w.open(t, r)()
		settle()
		r.read(t)
		time.Sleep(3*keepAlive + time.Second)
		synctest.Wait()
		comments := r.read(t)
		if len(comments) != 3 || comments[0] != (message{}) {
			t.Errorf("a quiet stream has %+v, want three comments", comments)
		}
	})
}

// Who does not read blocks nobody, and then gets what is newest in one update.
func TestASlowReaderSkipsToTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scene.New()
		s.Join("ann", "bob")
		s.Make("a")
		w, quick, slow := newWorld(t, s), new(reader), &reader{blocked: make(chan struct{})}
		settle()
		defer w.open(t, quick)()
		defer w.open(t, slow)()
		settle()
		quick.read(t)
		for i := range 20 {
			w.Claim("a", []string{"ann", "bob"}[i%2])
			w.Beat("ann", "bob")
			settle()
		}
		if got := len(quick.read(t)); got != 20 {
			t.Errorf("the quick reader got %d updates, want 20", got)
		}
		close(slow.blocked)
		synctest.Wait()
		got := slow.read(t)
		if len(got) != 2 {
			t.Fatalf("the slow reader got %d messages, want the snapshot and one update", len(got))
		}
		if u := decode[Update](t, got[1]); len(u.Shards) != 1 || u.Shards[0].Epoch != 20 || len(u.Timeline) != 20 {
			t.Errorf("the update says %+v", u)
		}
	})
}

func TestStreamsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, scene.New())
		var leave []context.CancelFunc
		for range maxStreams {
			leave = append(leave, w.open(t, new(reader)))
		}
		synctest.Wait()
		refused := new(reader)
		defer w.open(t, refused)()
		synctest.Wait()
		if refused.status != http.StatusServiceUnavailable || refused.header.Get("Retry-After") != "10" || !strings.Contains(refused.body.String(), "close one") {
			t.Errorf("one too many gets %d, %v: %s", refused.status, refused.header, refused.body.String())
		}
		leave[0]()
		synctest.Wait()
		next := new(reader)
		defer w.open(t, next)()
		synctest.Wait()
		if got := next.read(t); len(got) != 1 || got[0].event != "snapshot" {
			t.Errorf("once one has left the next gets %+v, want a snapshot", got)
		}
		for _, cancel := range leave {
			cancel()
		}
	})
}

// A connection that is dead ends its stream by the deadline of the write.
func TestAReaderThatIsGoneFreesItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(optionsFor(scene.New()))
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		d.Handler().ServeHTTP(&reader{header: http.Header{}, err: os.ErrDeadlineExceeded}, request)
		if n := len(d.slots); n != 0 {
			t.Errorf("%d streams are open, want none", n)
		}
	})
}

func TestStreamsEndWithTheDashboard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, r := newWorld(t, scene.New()), new(reader)
		defer w.open(t, r)()
		settle()
		w.stop()
		if err := w.running.Wait(); err != nil { // for the dashboard, and for the stream
			t.Fatal(err)
		}
		late := new(reader)
		defer w.open(t, late)()
		if err := w.running.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := late.read(t); len(got) != 1 {
			t.Errorf("who comes later gets %+v, want a snapshot", got)
		}
	})
}
