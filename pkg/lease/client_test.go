// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

var someLease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "g.s", Namespace: "ns", UID: "u", ResourceVersion: "1"}}

func newTestClient(t *testing.T, cfg *rest.Config) *Client {
	t.Helper()
	c, err := NewClient(cfg, "ns")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What an API server's answers mean to the protocol, and that each of them comes
// back at once: whatever it asks, client-go sends nothing again by itself.
func TestClientSendsOnceAndTellsTheOutcome(t *testing.T) {
	type answer struct {
		code       int
		reason     metav1.StatusReason
		retryAfter string
		raw        string // instead of a Status
	}
	for _, test := range []struct {
		name       string
		verb       Verb
		answer     answer
		want       Outcome
		retryAfter time.Duration
	}{
		{"too many requests, in plain text", Update, answer{code: 429, retryAfter: "30", raw: "Too many requests, please try again later."}, Throttled, 30 * time.Second},
		{"too many requests", Update, answer{code: 429, reason: metav1.StatusReasonTooManyRequests, retryAfter: "30"}, Throttled, 30 * time.Second},
		{"too many requests, no matter when", Create, answer{code: 429, reason: metav1.StatusReasonTooManyRequests}, Throttled, 0},
		{"too many requests, on reading", Get, answer{code: 429, retryAfter: "30", raw: "Too many requests"}, Throttled, 30 * time.Second},
		{"too many requests, on deleting", Delete, answer{code: 429, retryAfter: "30", raw: "Too many requests"}, Throttled, 30 * time.Second},
		{"starting or stopping", Update, answer{code: 503, retryAfter: "30", raw: "starting"}, Unknown, 30 * time.Second},
		{"internal error", Update, answer{code: 500, reason: metav1.StatusReasonInternalError, retryAfter: "1"}, Unknown, time.Second},
		{"time-out at the server", Update, answer{code: 504, reason: metav1.StatusReasonTimeout}, Unknown, 0},
		{"changed meanwhile", Update, answer{code: 409, reason: metav1.StatusReasonConflict}, Conflict, 0},
		{"there already", Create, answer{code: 409, reason: metav1.StatusReasonAlreadyExists}, Conflict, 0},
		{"gone", Update, answer{code: 404, reason: metav1.StatusReasonNotFound}, NotFound, 0},
		{"no such namespace", Create, answer{code: 404, reason: metav1.StatusReasonNotFound}, Rejected, 0},
		{"forbidden", Update, answer{code: 403, reason: metav1.StatusReasonForbidden}, Rejected, 0},
		{"who are you", Update, answer{code: 401, reason: metav1.StatusReasonUnauthorized}, Rejected, 0},
		{"invalid", Update, answer{code: 422, reason: metav1.StatusReasonInvalid}, Rejected, 0},
		{"an answer that nobody understands", Update, answer{code: 200, raw: "<html>"}, Unknown, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var requests atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				requests.Add(1)
				if test.answer.retryAfter != "" {
					w.Header().Set("Retry-After", test.answer.retryAfter)
				}
				if test.answer.raw != "" {
					w.Header().Set("Content-Type", "text/plain")
					w.WriteHeader(test.answer.code)
					_, _ = io.WriteString(w, test.answer.raw)
					return
				}
				status := metav1.Status{Status: metav1.StatusFailure, Code: int32(test.answer.code), Reason: test.answer.reason}
				status.APIVersion, status.Kind = "v1", "Status"
				if seconds, err := strconv.Atoi(test.answer.retryAfter); err == nil {
					status.Details = &metav1.StatusDetails{RetryAfterSeconds: int32(seconds)}
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(test.answer.code)
				_ = json.NewEncoder(w).Encode(status)
			}))
			defer server.Close()
			op := Op{Verb: test.verb, Name: someLease.Name, Lease: someLease}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // shorter than what some ask for
			defer cancel()
			_, err := newTestClient(t, &rest.Config{Host: server.URL}).do(ctx, op)
			if got := outcome(op, err); got != test.want {
				t.Errorf("outcome: %s (%v), want %s", got, err, test.want)
			}
			if got := retryAfter(err); got != test.retryAfter {
				t.Errorf("it asks for %s, want %s", got, test.retryAfter)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests were sent, want 1", n)
			}
		})
	}
}

// The list and the watch are the driver's to repeat as well.
func TestClientListsAndWatchesOnce(t *testing.T) {
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Retry-After", "30")
		http.Error(w, "Too many requests", http.StatusTooManyRequests)
	}))
	defer server.Close()
	c := newTestClient(t, &rest.Config{Host: server.URL})
	_, listed := c.list(t.Context(), LabelGroup, "")
	_, watched := c.watch(t.Context(), LabelGroup, "1")
	for what, err := range map[string]error{"list": listed, "watch": watched} {
		if got := outcome(Op{}, err); got != Throttled {
			t.Errorf("%s: %s (%v), want %s", what, got, err, Throttled)
		}
	}
	if n := requests.Load(); n != 2 {
		t.Errorf("%d requests were sent for a list and a watch, want 2", n)
	}
}

// Two clients of one configuration share no connection, nor does either with
// anybody else: what is done to one must not touch the other.
func TestClientHasConnectionsOfItsOwn(t *testing.T) {
	server := startLeaseServer(t, true)
	relay := startRelay(t, server.Listener.Addr().String())
	cfg := relay.config(t, server)
	for range 2 {
		c := newTestClient(t, cfg)
		for range 2 {
			if _, err := c.do(t.Context(), Op{Verb: Update, Name: someLease.Name, Lease: someLease}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(relay.connections()); n != 2 {
		t.Errorf("two clients used %d connections, want 2", n)
	}
}

// A request that gets no answer closes the connection it was sent on, and none
// but that. With HTTP/2 it is the watch's too.
func TestDeadConnectionIsReplaced(t *testing.T) {
	for _, http2 := range []bool{true, false} {
		t.Run(fmt.Sprintf("http2=%t", http2), func(t *testing.T) {
			t.Parallel()
			server := startLeaseServer(t, http2)
			relay := startRelay(t, server.Listener.Addr().String())
			d := newRequester(t, newTestClient(t, relay.config(t, server)))
			w, err := d.client.watch(t.Context(), LabelGroup, "1")
			if err != nil {
				t.Fatal(err)
			}
			defer w.Stop()
			if ev := <-w.ResultChan(); ev.Type != watch.Added {
				t.Fatalf("the watch begins with %+v", ev)
			}
			if r := d.put(t); r.Outcome != OK {
				t.Fatalf("the first request: %s, %s", r.Outcome, r.Reason)
			}

			opened := relay.connections()
			dead := opened[len(opened)-1] // the last request's
			dead.swallow.Store(true)
			if r := d.put(t); r.Outcome != Unknown {
				t.Fatalf("a request that was swallowed: %s", r.Outcome)
			}
			<-dead.closed
			if http2 {
				// The transport has to notice, too, before it makes another connection: its
				// reader tells the streams. The machine's pause after a failure is
				// milliseconds at least; a request without one may come too soon.
				if ev, open := <-w.ResultChan(); open && ev.Type != watch.Error {
					t.Errorf("the watch on the dead connection shows %+v, want its end", ev)
				}
			}
			if r := d.put(t); r.Outcome != OK {
				t.Fatalf("the next request: %s, %s", r.Outcome, r.Reason)
			}
			if n := len(relay.connections()); n != len(opened)+1 {
				t.Fatalf("%d connections were made, want one more than %d", n, len(opened))
			}
			if http2 {
				return
			}
			server.events <- struct{}{}
			if ev, open := <-w.ResultChan(); !open || ev.Type != watch.Added {
				t.Errorf("the watch on another connection shows %+v, open: %t", ev, open)
			}
		})
	}
}

// requester is a driver of which no more is used than its way to send requests.
type requester struct{ *Driver }

func newRequester(t *testing.T, c *Client) requester {
	t.Helper()
	d, err := NewDriver(DriverOptions{
		Election: Config{
			Group: "g", Namespace: "ns", Assign: evenly, Replica: Replica{Pod: "p", Container: "c", Boot: "b"},
			// Long enough for a busy machine to answer, short enough to wait for.
			Timings: Timings{LeaseDuration: 16 * time.Second, RenewDeadline: 10 * time.Second, RenewInterval: 2 * time.Second},
		},
		Client: c, Handler: &peer{}, Clock: MonotonicClock(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return requester{d}
}

func (r requester) put(t *testing.T) Replied {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.request(t.Context(), Op{Verb: Update, Name: someLease.Name, Lease: someLease})
	}()
	reply := <-r.events
	<-ended
	return reply.(Replied)
}

// leaseServer answers every write with what was to be written, and every watch
// with an event at once, and one more for each of events.
type leaseServer struct {
	*httptest.Server
	events chan struct{}
}

func startLeaseServer(t *testing.T, http2 bool) leaseServer {
	t.Helper()
	s := leaseServer{events: make(chan struct{})}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		l := someLease.DeepCopy()
		l.APIVersion, l.Kind = "coordination.k8s.io/v1", "Lease"
		if !r.URL.Query().Has("watch") {
			_ = json.NewEncoder(w).Encode(l)
			return
		}
		for {
			_ = json.NewEncoder(w).Encode(map[string]any{"type": watch.Added, "object": l})
			_ = http.NewResponseController(w).Flush()
			select {
			case <-s.events:
			case <-r.Context().Done():
				return
			}
		}
	}))
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// relay passes connections on, and swallows what comes on some of them.
type relay struct {
	net.Listener
	mu    sync.Mutex
	conns []*relayed
}

type relayed struct {
	client, server net.Conn
	swallow        atomic.Bool
	closed         chan struct{} // by the client
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: listener}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				continue
			}
			c := &relayed{client: client, server: server, closed: make(chan struct{})}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			running.Go(func() {
				defer close(c.closed)
				c.pass(server, client)
			})
			running.Go(func() { c.pass(client, server) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		for _, c := range r.connections() {
			_, _ = c.client.Close(), c.server.Close()
		}
		running.Wait()
	})
	return r
}

// pass copies until one side closes, then closes the other.
func (c *relayed) pass(to, from net.Conn) {
	defer to.Close()
	for buffer := make([]byte, 16<<10); ; {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if c.swallow.Load() {
			continue
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (r *relay) connections() []*relayed {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*relayed(nil), r.conns...)
}

func (r *relay) config(t *testing.T, server leaseServer) *rest.Config {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &rest.Config{Host: "https://" + r.Addr().String(), TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
}
