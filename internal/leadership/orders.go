// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/pkg/shard"
)

// For how long a replica that has given up a role leaves it to others.
const (
	defaultBackoff = 10 * time.Second
	maxBackoff     = time.Hour
)

// serveYield gives a role up. It is answered when that has begun.
func (e *Endpoint) serveYield(w http.ResponseWriter, r *http.Request) {
	role, ok := e.asked(w, r.PathValue("role"))
	if !ok {
		return
	}
	backoff := defaultBackoff
	if text := r.URL.Query().Get("backoff"); text != "" {
		var err error
		if backoff, err = time.ParseDuration(text); err != nil || backoff <= 0 || backoff > maxBackoff {
			refuse(w, fmt.Sprintf("backoff: %q is not allowed: use a duration of at most %s, as 30s or 5m", text, maxBackoff), http.StatusBadRequest)
			return
		}
	}
	m := e.roleNow(role, e.journal.look())
	switch err := e.backend.Yield(role.Name, backoff); {
	case errors.Is(err, shard.ErrNotHeld):
		refuse(w, fmt.Sprintf("%s does not lead %s, so it cannot give it up: ask the Pod that leads it", e.pod, role.Name), http.StatusConflict)
	case err != nil:
		klog.FromContext(r.Context()).Error(err, "A program could not give up a role", "role", role.Name)
		refuse(w, fmt.Sprintf("giving up %s: the log of this replica says why it failed", role.Name), http.StatusInternalServerError)
	default:
		reply(w, http.StatusAccepted, yieldedMessage{Role: role.Name, Epoch: m.Epoch, BackoffSeconds: seconds(backoff)})
	}
}

// serveStopped takes in that a program has stopped what it does as leader.
func (e *Endpoint) serveStopped(w http.ResponseWriter, r *http.Request) {
	role, ok := e.asked(w, r.PathValue("role"))
	if !ok {
		return
	}
	var epoch int64
	if text := r.URL.Query().Get("epoch"); text != "" {
		var err error
		if epoch, err = strconv.ParseInt(text, 10, 32); err != nil || epoch < 1 {
			refuse(w, fmt.Sprintf("epoch: %q is not allowed: use that of the event granted", text), http.StatusBadRequest)
			return
		}
	}
	answer := stoppedMessage{Role: role.Name}
	switch e.journal.stopped(role.Name, int32(epoch)) {
	case outcomeReleased:
		answer.Released = true
	case outcomeGranted:
		refuse(w, fmt.Sprintf("%s leads %s, and was not told to stop: to give it up, POST /roles/%[2]s/yield", e.pod, role.Name), http.StatusConflict)
		return
	case outcomeIdle:
		answer.Reason = "nothing waits for it: it comes late, or the role does not have acknowledge: true"
	}
	reply(w, http.StatusOK, answer)
}
