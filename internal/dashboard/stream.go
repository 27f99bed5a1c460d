// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"k8s.io/klog/v2"
)

const (
	// maxStreams bounds those that are open at a time: pages that people look at.
	maxStreams = 32
	// retryAfter is when somebody may try again that came when all were taken.
	retryAfter = 10 * time.Second
	// writeTimeout is how long a reader may take for a message. It is there for
	// connections that are dead: who is only slow misses messages.
	writeTimeout = 10 * time.Second
	// keepAlive is after what silence a comment is sent, so that both ends and what
	// is between them know that the stream lives. The page gives up after three.
	keepAlive = 5 * time.Second
)

// serveEvents serves a stream of server-sent events: a snapshot, then updates, with
// the version of the state as their IDs. Who connects again gets a snapshot again,
// for nothing is kept for them.
func (d *Dashboard) serveEvents(w http.ResponseWriter, r *http.Request) {
	select {
	case d.slots <- struct{}{}:
		defer func() { <-d.slots }()
	default:
		w.Header().Set("Retry-After", strconv.Itoa(int(retryAfter.Seconds())))
		http.Error(w, fmt.Sprintf("%d dashboards are open on this replica already: close one, or look at another replica", maxStreams), http.StatusServiceUnavailable)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // or a proxy may wait for more
	if r.Method == http.MethodHead {
		return
	}
	s := stream{w: w, control: http.NewResponseController(w)}
	if err := s.follow(r.Context(), d.feed); err != nil {
		klog.FromContext(r.Context()).V(2).Info("Dashboard's stream of events broke off", "remote", r.RemoteAddr, "err", err)
	}
}

// stream is one that is open.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// follow sends until the reader is gone, which is no error, or the last state was
// sent.
func (s stream) follow(ctx context.Context, f *feed) error {
	// The server's limit for reading a request would end the context here.
	if err := s.control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("lifting the limit of reading: %w", err)
	}
	silence := time.NewTimer(keepAlive)
	defer silence.Stop()
	var sent *state
	for {
		newest, changed, last := f.get()
		if newest != sent {
			if err := s.send(newest, sent); err != nil {
				return err
			}
			sent = newest
			silence.Reset(keepAlive)
		}
		if last {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-silence.C:
			if err := s.write([]byte(": still here\n\n")); err != nil {
				return err
			}
			silence.Reset(keepAlive)
		}
	}
}

// send sends a state to somebody who has another one, or none yet.
func (s stream) send(now, sent *state) error {
	at := milliseconds(time.Now()) // the state may have stood for long: the page sets its clock by this
	event, message := "snapshot", any(now.complete(at))
	if sent != nil {
		update := now.since(sent)
		update.Now = at
		event, message = "update", update
	}
	data, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("encoding a %s: %w", event, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "event: %s\nid: %d\ndata: %s\n\n", event, now.version, data)
	return s.write(b.Bytes())
}

func (s stream) write(message []byte) error {
	// Each write has a time of its own, whatever the server's limit for a response.
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("limiting a write: %w", err)
	}
	if _, err := s.w.Write(message); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("flushing: %w", err)
	}
	return nil
}
