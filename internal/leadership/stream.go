// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"k8s.io/klog/v2"
)

const (
	// maxStreams bounds those that are open at a time.
	maxStreams = 100
	// retryAfter is when somebody may try again that came when all were taken.
	retryAfter = 10 * time.Second
	// reconnectAfter is what readers are told to wait for before they come back.
	reconnectAfter = time.Second
	// heartbeat is how often a stream says something. A reader that hears nothing for
	// three of them may take it for broken.
	heartbeat = time.Second
	// writeTimeout is for each write. A reader that does not read is disconnected then, and
	// knows that what was granted is revoked.
	writeTimeout = 5 * time.Second
)

// serveEvents serves a stream of server-sent events.
// https://html.spec.whatwg.org/multipage/server-sent-events.html
func (e *Endpoint) serveEvents(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	for _, name := range query["role"] {
		if _, ok := e.asked(w, name); !ok {
			return
		}
	}
	select {
	case e.streams <- struct{}{}:
		defer func() { <-e.streams }()
	default:
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		refuse(w, fmt.Sprintf("%d streams are open on this replica already: close some, or poll /roles", maxStreams), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method == http.MethodHead {
		return
	}
	s := stream{endpoint: e, w: w, control: http.NewResponseController(w), roles: query["role"]}
	s.start(lastEventID(r))
	if err := s.follow(r.Context()); err != nil {
		klog.FromContext(r.Context()).V(2).Info("A stream of events broke off", "remote", r.RemoteAddr, "err", err)
	}
}

// lastEventID is the ID of the event that a reader has read last; empty: it is new here. In
// the query it is for those who cannot set headers, and are not able to change the query
// when they come back by themselves: so the header comes first.
func lastEventID(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	return r.URL.Query().Get("lastEventId")
}

// stream is one that is open.
type stream struct {
	endpoint *Endpoint
	w        http.ResponseWriter
	control  *http.ResponseController
	roles    []string // of interest; none: all

	at   uint64 // the event that was sent last
	owed bool   // a snapshot is to be sent, after what was missed
	out  bytes.Buffer
}

// start finds out where the stream begins. A reader that comes back gets what it has
// missed, and then a snapshot too: it has stopped when it was cut, and has to learn that
// what was granted before still is.
func (s *stream) start(id string) {
	fmt.Fprintf(&s.out, "retry: %d\n\n", reconnectAfter.Milliseconds())
	if at, ok := s.endpoint.journal.position(id); ok {
		s.at, s.owed = at, true
		return
	}
	s.startOver(id != "")
}

// startOver tells how everything stands, before anything else, and goes on from there. It
// is a reset if what the reader has missed is not known any more.
func (s *stream) startOver(reset bool) {
	v := s.endpoint.journal.look()
	s.at, s.owed = v.number, false
	s.putSnapshot(v, reset)
}

// follow sends what there is until the reader is gone, which is no error, or the journal is
// closed.
func (s *stream) follow(ctx context.Context) error {
	// The server's limit for reading a request would end the context here.
	if err := s.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("lifting the limit of reading: %w", err)
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		p := s.endpoint.journal.read(s.at, s.owed)
		s.put(p)
		if err := s.flush(); err != nil {
			return err
		}
		if len(p.events) > 0 || p.forgotten {
			continue // there may be more
		}
		if p.last {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-p.more:
		case <-beat.C:
			s.putHeartbeat()
		}
	}
}

// put prepares what is on a page.
func (s *stream) put(p page) {
	if p.forgotten {
		s.startOver(true)
		return
	}
	for _, e := range p.events {
		s.at = e.number
		if e.concerns(s.roles) {
			s.putEvent(e)
		}
	}
	if p.view != nil {
		s.putSnapshot(p.view, false)
		s.owed = false
	}
}

func (s *stream) putSnapshot(v *view, reset bool) {
	s.putMessage(eventSnapshot, snapshotMessage{
		Reset: reset, rolesMessage: s.endpoint.rolesNow(v, s.roles), membersMessage: s.endpoint.membersNow(v),
	})
}

func (s *stream) putEvent(e event) {
	switch e.name {
	case eventGranted:
		m := s.endpoint.granted(e.grant)
		name := eventGranted
		if !m.Leading {
			name = eventMissed
		}
		s.putMessage(name, m)
	case eventRevoked:
		s.putMessage(e.name, revokedMessage{
			Role: e.role, Epoch: e.grant.term.Epoch(), Reason: e.end.why, GraceSeconds: seconds(e.end.grace), Acknowledge: e.end.acknowledge,
		})
	case eventLeader:
		s.putMessage(e.name, changedLeaderMessage{Role: e.role, Leader: messageOfLeader(e.leader), Epoch: e.leader.Epoch})
	default:
		s.putMessage(e.name, s.endpoint.member(e.member))
	}
}

// putHeartbeat prepares a sign of life: for how long what is granted is sure, or only where
// the reader is, in case nothing of what has happened was of interest to it.
func (s *stream) putHeartbeat() {
	var m validMessage
	v := s.endpoint.journal.look()
	for _, role := range slices.Sorted(maps.Keys(v.grants)) {
		g := v.grants[role]
		if !(event{role: role}).concerns(s.roles) || g.number > s.at || !g.leading() {
			continue
		}
		if v := validityOf(g.term); v.ForSeconds > 0 { // it may have ended since
			m.Roles = append(m.Roles, validRoleMessage{Role: role, Epoch: g.term.Epoch(), validity: v})
		}
	}
	if len(m.Roles) > 0 {
		s.putMessage(eventValid, m)
		return
	}
	fmt.Fprintf(&s.out, ": still here\nid: %s\n\n", s.endpoint.journal.id(s.at))
}

func (s *stream) putMessage(name string, message any) {
	data, err := json.Marshal(message)
	if err != nil {
		panic(fmt.Sprintf("encoding %T: %v", message, err)) // of strings, numbers and times only
	}
	fmt.Fprintf(&s.out, "event: %s\nid: %s\ndata: %s\n\n", name, s.endpoint.journal.id(s.at), data)
}

// flush sends what was prepared.
func (s *stream) flush() error {
	if s.out.Len() == 0 {
		return nil
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("limiting a write: %w", err)
	}
	if _, err := s.out.WriteTo(s.w); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("flushing: %w", err)
	}
	return nil
}
