// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Who plays: this replica runs in the Pod a, another in b.
const (
	self  = "a_11111111-1111-1111-1111-111111111111_main.x.0"
	other = "b_22222222-2222-2222-2222-222222222222_main.y.0"
)

func podOf(identity string) string { pod, _, _ := strings.Cut(identity, "_"); return pod }

// fakeGroup is a group without replicas: the test says what becomes of it.
type fakeGroup struct {
	mu      sync.Mutex
	limit   int // of changes that are remembered
	last    uint64
	changes []lease.Change
	leaders map[string]lease.Leader
	members []lease.MemberState
	more    chan struct{}
	holding map[string]Term
	yields  []string
}

func newFakeGroup() *fakeGroup {
	return &fakeGroup{limit: lease.MaxChanges, leaders: map[string]lease.Leader{}, more: make(chan struct{}), holding: map[string]Term{}}
}

func (f *fakeGroup) Chronicle() Chronicle { return f }

func (f *fakeGroup) Standing() lease.Standing {
	f.mu.Lock()
	defer f.mu.Unlock()
	return lease.Standing{ID: f.last, Leaders: maps.Clone(f.leaders), Members: slices.Clone(f.members)}
}

func (f *fakeGroup) Since(id uint64) ([]lease.Change, bool, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	forgotten := f.last - uint64(len(f.changes))
	if id < forgotten || id > f.last {
		return nil, false, f.more
	}
	return slices.Clone(f.changes[id-forgotten:]), true, f.more
}

func (f *fakeGroup) Holding(role string) (Term, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t, held := f.holding[role]
	return t, held
}

type termKey struct{}

func (f *fakeGroup) TermFrom(ctx context.Context) (Term, bool) {
	t, ok := ctx.Value(termKey{}).(*fakeTerm)
	return t, ok
}

func (f *fakeGroup) Yield(role string, backoff time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if role == "broken" {
		return errors.New("no")
	}
	if _, held := f.holding[role]; !held {
		return shard.ErrNotHeld
	}
	f.yields = append(f.yields, fmt.Sprintf("%s for %s", role, backoff))
	return nil
}

func (f *fakeGroup) add(c lease.Change) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	c.ID = f.last
	f.changes = append(f.changes, c)
	if len(f.changes) > f.limit {
		f.changes = f.changes[len(f.changes)-f.limit:]
	}
	switch c.Kind {
	case lease.LeaderChanged:
		f.leaders[c.Leader.Shard] = c.Leader
	case lease.MemberJoined:
		f.members = append(f.members, c.Member)
	default:
		f.members = slices.DeleteFunc(f.members, func(m lease.MemberState) bool { return m.Identity == c.Member.Identity })
		if c.Kind == lease.MemberChanged {
			f.members = append(f.members, c.Member)
		}
	}
	close(f.more)
	f.more = make(chan struct{})
}

// leads: the group's watch shows that somebody leads a role; "": that nobody does.
func (f *fakeGroup) leads(role, holder string, epoch int32) {
	f.add(lease.Change{Kind: lease.LeaderChanged, Leader: lease.Leader{Shard: role, Holder: holder, Pod: podOf(holder), Epoch: epoch}})
}

func (f *fakeGroup) member(kind lease.ChangeKind, m lease.MemberState) {
	m.Pod = podOf(m.Identity)
	f.add(lease.Change{Kind: kind, Member: m})
}

func (f *fakeGroup) holds(role string, t *fakeTerm) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holding[role] = t
}

// fakeTerm is a term of this replica.
type fakeTerm struct {
	epoch int32

	mu    sync.Mutex
	until time.Time
}

func newFakeTerm(epoch int32, valid time.Duration) *fakeTerm {
	return &fakeTerm{epoch: epoch, until: time.Now().Add(valid)}
}

func (t *fakeTerm) Identity() string { return self }
func (t *fakeTerm) Epoch() int32     { return t.epoch }
func (t *fakeTerm) Token() int64     { return 1<<60 + int64(t.epoch) }

func (t *fakeTerm) Remaining() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Until(t.until)
}

// extend renews the term; zero ends it.
func (t *fakeTerm) extend(valid time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.until = time.Now().Add(valid)
}

// errHandOver is why terms end here, unless a test says otherwise.
var errHandOver = errors.New("it is handed over")

// fixture is an endpoint of the Pod a, with its group.
type fixture struct {
	*fakeGroup

	endpoint *Endpoint
	addr     string

	mu    sync.Mutex
	roles []Role
}

func newFixture(t *testing.T, roles ...Role) *fixture {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return newFixtureOn(t, listener, roles...)
}

func newFixtureOn(t *testing.T, listener net.Listener, roles ...Role) *fixture {
	t.Helper()
	f := &fixture{fakeGroup: newFakeGroup(), roles: roles}
	var err error
	f.endpoint, err = New(Options{Backend: f, Group: "g", Namespace: "ns", Pod: "a", Roles: f.configured, Listener: listener})
	if err != nil {
		t.Fatal(err)
	}
	f.addr = f.endpoint.Addr()
	return f
}

func (f *fixture) configured() []Role {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.roles)
}

func (f *fixture) configure(roles ...Role) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.roles = roles
}

// watched is an endpoint that watches its group, and serves nobody but who calls its
// handler: in virtual time there are no connections.
func watched(t *testing.T, roles ...Role) *fixture {
	t.Helper()
	f := newFixture(t, roles...)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- f.endpoint.journal.followLoop(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return f
}

// run runs the endpoint until stop, or the end of the test.
func (f *fixture) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	result := make(chan error, 1)
	go func() { result <- f.endpoint.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-result; err != nil {
			t.Errorf("Run returned %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// duty is a role at work in a term.
type duty struct {
	term *fakeTerm
	stop context.CancelCauseFunc
	done chan error
}

// lead has this replica lead a role, as the group would. The watch shows it first.
func (f *fixture) lead(t *testing.T, role string, epoch int32) *duty {
	t.Helper()
	d := f.leadUnseen(t, role, newFakeTerm(epoch, time.Minute))
	f.leads(role, self, epoch)
	return d
}

// leadUnseen is lead without a word of the watch.
func (f *fixture) leadUnseen(t *testing.T, role string, term *fakeTerm) *duty {
	t.Helper()
	ctx, stop := context.WithCancelCause(context.WithValue(context.Background(), termKey{}, term))
	d := &duty{term: term, stop: stop, done: make(chan error, 1)}
	f.holds(role, term)
	go func() { d.done <- f.endpoint.Lead(role)(ctx) }()
	t.Cleanup(func() {
		f.configure(Role{Name: role, Kind: Leadership}) // without a grace
		stop(errHandOver)
		<-d.done
	})
	return d
}

// returned tells whether the role may be given away.
func (d *duty) returned(t *testing.T) bool {
	t.Helper()
	select {
	case err := <-d.done:
		if err != nil {
			t.Errorf("the role returned %v", err)
		}
		d.done <- err
		return true
	default:
		return false
	}
}

// ask sends a request to the handler.
func (f *fixture) ask(method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://"+f.addr+target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	f.endpoint.Handler().ServeHTTP(w, r)
	return w
}

// decode decodes JSON.
func decode[T any](t *testing.T, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return v
}

// message is an event as a reader gets it. A comment has no name.
type message struct{ id, name, data string }

// text is what the event is about, in short.
func (m message) text(t *testing.T) string {
	t.Helper()
	switch m.name {
	case eventSnapshot:
		s := decode[snapshotMessage](t, m.data)
		var of []string
		for _, role := range s.Roles {
			of = append(of, roleText(role))
		}
		for _, one := range s.Members {
			of = append(of, one.Pod)
		}
		return "snapshot" + map[bool]string{true: " reset"}[s.Reset] + ": " + strings.Join(of, ", ")
	case eventGranted, eventMissed:
		return m.name + " " + roleText(decode[roleMessage](t, m.data))
	case eventRevoked:
		r := decode[revokedMessage](t, m.data)
		return fmt.Sprintf("revoked %s@%d", r.Role, r.Epoch)
	case eventLeader:
		l := decode[changedLeaderMessage](t, m.data)
		return fmt.Sprintf("leader %s=%s@%d", l.Role, leaderText(l.Leader), l.Epoch)
	case eventValid:
		var of []string
		for _, r := range decode[validMessage](t, m.data).Roles {
			of = append(of, fmt.Sprintf("%s@%d for %v", r.Role, r.Epoch, r.ForSeconds))
		}
		return "valid " + strings.Join(of, ", ")
	case "":
		return "beat"
	default:
		return m.name + " " + decode[memberMessage](t, m.data).Pod
	}
}

func leaderText(l *leaderMessage) string {
	if l == nil {
		return "nobody"
	}
	return l.Pod
}

func roleText(m roleMessage) string {
	return fmt.Sprintf("%s=%s@%d%s", m.Role, leaderText(m.Leader), m.Epoch, map[bool]string{true: " leading"}[m.Leading])
}

// events reads a stream as browsers do: an event counts, and its ID is the last one, only
// once the empty line after it was read.
type events struct {
	lines *bufio.Scanner
	last  string // ID
	cut   bool   // the end was in the midst of an event
}

func readEvents(r io.Reader) *events {
	e := &events{lines: bufio.NewScanner(r)}
	e.lines.Buffer(nil, 1<<20)
	e.lines.Split(func(data []byte, atEOF bool) (int, []byte, error) {
		if i := slices.Index(data, '\n'); i >= 0 {
			return i + 1, data[:i], nil
		}
		e.cut = atEOF && len(data) > 0 // a line that is cut is none
		return 0, nil, nil
	})
	return e
}

// next returns the next event or comment; false at the end.
func (e *events) next() (m message, ok bool) {
	e.cut = false
	for e.lines.Scan() {
		field, value, _ := strings.Cut(e.lines.Text(), ": ")
		switch field {
		case "id":
			m.id = value
		case "event":
			m.name = value
		case "data":
			m.data = value
		case "":
			if e.lines.Text() != "" || m.id == "" {
				continue // a comment, or the end of a block that has only a retry
			}
			e.last = m.id
			return m, true
		}
	}
	e.cut = e.cut || m != message{}
	return message{}, false
}

// reader is somebody who reads a stream in virtual time, without a connection.
type reader struct {
	header http.Header
	leave  context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	status  int
	body    strings.Builder
	read    int // of the body
	last    string
	blocked chan struct{} // what every write waits for, if set
	err     error         // what a write returns
	meets   func()        // what comes about before anything is sent, if set
}

// open opens a stream, and returns when it has said what there is to say. Before it runs,
// the reader may be prepared.
func (f *fixture) open(t *testing.T, query, lastEventID string, prepare ...func(*reader)) *reader {
	t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	r := &reader{header: http.Header{}, leave: leave, ended: make(chan struct{})}
	request := httptest.NewRequest(http.MethodGet, "http://"+f.addr+"/events"+query, nil).WithContext(ctx)
	if lastEventID != "" {
		request.Header.Set("Last-Event-ID", lastEventID)
	}
	for _, how := range prepare {
		how(r)
	}
	go func() {
		defer close(r.ended)
		f.endpoint.Handler().ServeHTTP(r, request)
	}()
	t.Cleanup(func() {
		leave()
		<-r.ended
	})
	synctest.Wait()
	return r
}

func (r *reader) Header() http.Header { return r.header }

func (r *reader) WriteHeader(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *reader) Write(p []byte) (int, error) {
	r.mu.Lock()
	blocked := r.blocked
	r.mu.Unlock()
	if blocked != nil {
		<-blocked
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return 0, r.err
	}
	return r.body.Write(p)
}

// SetReadDeadline is what [http.ResponseController] looks for. A stream lifts the deadline
// when it has found out where it begins.
func (r *reader) SetReadDeadline(time.Time) error {
	if r.meets != nil {
		r.meets()
	}
	return nil
}

// FlushError is what [http.ResponseController] looks for.
func (r *reader) FlushError() error { return nil }

// block has writes wait until it is called again with false.
func (r *reader) block(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on {
		r.blocked = make(chan struct{})
		return
	}
	close(r.blocked)
	r.blocked = nil
}

func (r *reader) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// got returns what has come since the last call, in short, without heartbeats.
func (r *reader) got(t *testing.T) (texts []string) {
	t.Helper()
	for _, m := range r.messages() {
		if text := m.text(t); text != "beat" && m.name != eventValid {
			texts = append(texts, text)
		}
	}
	return texts
}

// messages returns what has come since the last call.
func (r *reader) messages() (all []message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	stream := readEvents(strings.NewReader(r.body.String()[r.read:]))
	for m, ok := stream.next(); ok; m, ok = stream.next() {
		all = append(all, m)
	}
	r.read, r.last = r.body.Len(), cmp.Or(stream.last, r.last)
	return all
}

// expect compares what was told.
func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
