// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/shardctl/shardctl/pkg/fence"
)

// The API server's fence reads the shard's Lease from a cache that is
// milliseconds old, and each API server has its own. The first writes of a new
// holder may be refused by one that does not know of it yet, so they are sent
// again: after 5 ms at first, then twice as long each time up to 320 ms, for
// 1.5 s in all. A fence that still refuses then means it, and so does one that
// refuses later than 5 s after the term began here: every API server has seen the
// Lease by then, and a worker does not lose time with each write.
const (
	minRefusedPause = 5 * time.Millisecond
	maxRefusedPause = 320 * time.Millisecond
	refusedPatience = 1500 * time.Millisecond
	termUnknownFor  = 5 * time.Second
)

// ServerFenced tells whether err is a write that the API server's fence refused:
// by what its Leases say, the term in which it was sent is over, or the object is
// not in the shard. It is told apart from any other 403 by the words of its
// policies. It was tried again already for as long as the API server may not have
// known of the term.
//
// Such a write has changed nothing, unless it was the deletion of a collection:
// each of its objects is judged by itself, and those of before the first that was
// refused may be deleted.
func ServerFenced(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Code == http.StatusForbidden &&
		strings.Contains(status.Status().Message, fence.MessagePrefix)
}

// exchange sends a write, and again while the API server's fence may not know of
// the term. If it goes on refusing, its last answer is the answer.
func (f *fencedTransport) exchange(caller context.Context, req *http.Request, term *Term) answer {
	pauses := wait.Backoff{Duration: minRefusedPause, Factor: 2, Jitter: 0.25, Steps: 7, Cap: maxRefusedPause}
	until := time.Now().Add(refusedPatience)
	if known := term.began.Add(termUnknownFor); known.Before(until) {
		until = known
	}
	if d, ok := caller.Deadline(); ok && d.Before(until) {
		until = d
	}
	for {
		a := f.attempt(req, term)
		if a.err != nil || !refusedByServer(a.resp) {
			return a
		}
		pause := pauses.Step()
		again, ok := sameAgain(req)
		if !ok || time.Now().Add(pause).After(until) || !pauseFor(caller, req.Context(), term, pause) {
			f.metrics.fencedByServer()
			f.recorder.refused(term)
			return a
		}
		_ = a.resp.Body.Close()
		f.metrics.retried()
		req = again
	}
}

// pauseFor waits; false if the term ended meanwhile, or the caller gave up: also for
// a hand-over, which is not to take longer for a write that may be in vain.
func pauseFor(caller, write context.Context, term *Term, pause time.Duration) bool {
	select {
	case <-write.Done():
	case <-caller.Done():
	case <-time.After(pause):
		return term.Valid()
	}
	return false
}

// sameAgain is the request once more, if its body can be had again.
func sameAgain(req *http.Request) (*http.Request, bool) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, false
	}
	again := req.WithContext(req.Context())
	again.Body = body
	return again, true
}

// refusedByServer tells a refusal of the API server's fence from any other 403.
// The words stand as they are in JSON and in protobuf.
func refusedByServer(resp *http.Response) bool {
	return resp.StatusCode == http.StatusForbidden && bytes.Contains(peek(resp, maxRefusal), []byte(fence.MessagePrefix))
}
