// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// request is what shardctl sends to the hook of a schedule.
type request struct {
	Role          string    `json:"role"`
	Key           string    `json:"key"`
	ScheduledTime time.Time `json:"scheduledTime"`
	Epoch         int32     `json:"epoch"`
	Repeated      bool      `json:"repeated"`
}

// hook is what all schedules call. It remembers every call, and lets others do something at its beginning and at its end.
type hook struct {
	server *httptest.Server
	lasts  map[string]time.Duration // by role: the longest that a call may take
	// called and answered run in the middle of a call: before anything else is done, and once the answer has been sent.
	called, answered func(Call)

	hurried chan struct{} // closed when all calls are to end at once

	mu    sync.Mutex
	calls []*Call
}

func serveHook(roles []Role) *hook {
	h := &hook{lasts: map[string]time.Duration{}, hurried: make(chan struct{})}
	for _, r := range roles {
		h.lasts[r.Name] = r.Lasts
	}
	h.server = httptest.NewUnstartedServer(h)
	return h
}

// hurry has all calls end at once from now on.
func (h *hook) hurry() { close(h.hurried) }

// close ends what is under way.
func (h *hook) close() {
	h.server.CloseClientConnections()
	h.server.Close()
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// To its end, or the server does not notice when the caller hangs up.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller was killed while it asked
	}
	var asked request
	if err := json.Unmarshal(body, &asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	call := h.begin(asked)
	h.called(*call)
	timer := time.NewTimer(time.Duration(rand.Int64N(int64(h.lasts[asked.Role]))))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.hurried:
	case <-r.Context().Done():
		return
	}
	h.mu.Lock()
	call.Answered = true
	h.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
	_ = http.NewResponseController(w).Flush() // the caller may have gone meanwhile
	h.answered(*call)
}

func (h *hook) begin(asked request) *Call {
	call := &Call{Role: asked.Role, Key: asked.Key, Scheduled: asked.ScheduledTime.UTC(), Epoch: asked.Epoch, Repeated: asked.Repeated}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, call)
	return call
}

// all are the calls so far, oldest first.
func (h *hook) all() []Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	calls := make([]Call, len(h.calls))
	for i, c := range h.calls {
		calls[i] = *c
	}
	return slices.Clip(calls)
}
