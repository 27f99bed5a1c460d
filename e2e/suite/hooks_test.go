// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// hook answers one call, like an http.HandlerFunc.
type hook func(w http.ResponseWriter, r *http.Request, request hookRequest)

// hookRequest is what tests look at of metacontroller's DecoratorHookRequest.
type hookRequest struct {
	Object      unstructured.Unstructured `json:"object"`
	Attachments map[string]map[string]any `json:"attachments"` // by Kind.apiVersion, then by name
	Finalizing  bool                      `json:"finalizing"`
}

// hookAnswer is a DecoratorHookResponse.
type hookAnswer struct {
	Status      map[string]any   `json:"status,omitempty"`
	Attachments []map[string]any `json:"attachments"`
	Finalized   bool             `json:"finalized,omitempty"`
}

// hookServer serves one hook whose answers can be changed at any time, and remembers who was asked about.
type hookServer struct {
	URL string

	mu     sync.Mutex
	answer hook
	calls  []hookCall
}

// hookCall is one call that was received.
type hookCall struct {
	hookRequest
	at time.Time
}

func serveHook(t *testing.T, answer hook) *hookServer {
	t.Helper()
	h := &hookServer{answer: answer}
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections() // ends what blocks
		server.Close()
	})
	h.URL = server.URL
	return h
}

func (h *hookServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// To its end, or the server does not notice when the caller hangs up.
	body, err := io.ReadAll(r.Body)
	var request hookRequest
	if err := errors.Join(err, json.Unmarshal(body, &request)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	h.calls = append(h.calls, hookCall{hookRequest: request, at: time.Now()})
	answer := h.answer
	h.mu.Unlock()
	answer(w, r, request)
}

// become changes what the hook answers from now on.
func (h *hookServer) become(answer hook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = answer
}

// received returns all calls so far, oldest first.
func (h *hookServer) received() []hookCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

// callsFor returns the calls about the objects of a name, oldest first.
func (h *hookServer) callsFor(name string) []hookCall {
	return slices.DeleteFunc(h.received(), func(c hookCall) bool { return c.Object.GetName() != name })
}

// timesAsked is how often the hook was asked about an object whose spec had this size then.
func (h *hookServer) timesAsked(kind, name string, size int64) int {
	times := 0
	for _, call := range h.callsFor(name) {
		if sizeOf(&call.Object) == size && call.Object.GetKind() == kind {
			times++
		}
	}
	return times
}

// answerWith makes a hook of a function from request to answer.
func answerWith(f func(hookRequest) hookAnswer) hook {
	return func(w http.ResponseWriter, _ *http.Request, request hookRequest) {
		w.Header().Set("Content-Type", "application/json")
		// The caller may have gone meanwhile.
		_ = json.NewEncoder(w).Encode(f(request))
	}
}

// reflectSpec is the hook of most tests: it puts what it saw into the status, see reconciled.
func reflectSpec(request hookRequest) hookAnswer {
	return hookAnswer{Status: statusFor(&request.Object)}
}

// when answers as special does to requests about an object for which is holds, and as others does to all others.
func when(is func(*unstructured.Unstructured) bool, special, others hook) hook {
	return func(w http.ResponseWriter, r *http.Request, request hookRequest) {
		if is(&request.Object) {
			special(w, r, request)
			return
		}
		others(w, r, request)
	}
}

// named holds for objects of the name.
func named(name string) func(*unstructured.Unstructured) bool {
	return func(object *unstructured.Unstructured) bool { return object.GetName() == name }
}

// sized holds for objects whose spec has the size.
func sized(size int64) func(*unstructured.Unstructured) bool {
	return func(object *unstructured.Unstructured) bool { return sizeOf(object) == size }
}

// block answers nothing until the caller hangs up or release is closed, and then as after does.
func block(release <-chan struct{}, after hook) hook {
	return func(w http.ResponseWriter, r *http.Request, request hookRequest) {
		select {
		case <-r.Context().Done():
		case <-release:
			after(w, r, request)
		}
	}
}
