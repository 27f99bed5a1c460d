// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// run is what a hook was told of a schedule's run.
type run struct {
	Key       string `json:"key"`
	Scheduled string `json:"scheduled"`
}

// midnight in Berlin, as a firing and as a hook is told of it.
var (
	midnight = Firing{Key: "nightly/2026-11-20T23:00:00Z", Scheduled: time.Date(2026, 11, 21, 0, 0, 0, 0, time.FixedZone("CET", 3600))}
	told1    = run{Key: "nightly/2026-11-20T23:00:00Z", Scheduled: "2026-11-20T23:00:00Z"}
)

func TestWebhookIsToldOfTheRun(t *testing.T) {
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(run{r.Header.Get("Idempotency-Key"), r.Header.Get("Shardctl-Scheduled-Time")})
	})
	var got, none run
	if err := h.Call(WithFiring(t.Context(), midnight), struct{}{}, &got); err != nil || got != told1 {
		t.Errorf("told %+v, error %v; want %+v", got, err, told1)
	}
	if err := h.Call(t.Context(), struct{}{}, &none); err != nil || none != (run{}) {
		t.Errorf("outside of any run: told %+v, error %v", none, err)
	}
}

func TestProgramIsToldOfTheRun(t *testing.T) {
	// What shardctl itself was started with is not the program's.
	t.Setenv("SHARDCTL_IDEMPOTENCY_KEY", "somebody else's")
	t.Setenv("SHARDCTL_SCHEDULED_TIME", "somebody else's")
	p := newProgram(t, "run", nil)
	var got, none run
	if err := p.Call(WithFiring(t.Context(), midnight), struct{}{}, &got); err != nil || got != told1 {
		t.Errorf("told %+v, error %v; want %+v", got, err, told1)
	}
	if err := p.Call(t.Context(), struct{}{}, &none); err != nil || none != (run{}) {
		t.Errorf("outside of any run: told %+v, error %v", none, err)
	}
}

// Whoever asks for no answer takes any 2xx for success, whatever comes with it.
func TestWebhookThatIsAskedForNoAnswer(t *testing.T) {
	for _, tc := range []struct {
		status int
		body   string
		want   string // in the error; empty for none
	}{
		{http.StatusOK, "done", ""},
		{http.StatusNoContent, "", ""},
		{http.StatusAccepted, strings.Repeat("x", 1<<16), ""},
		{http.StatusNotModified, "", "status 304 Not Modified, want 2xx"},
		{http.StatusInternalServerError, "no paper", `status 500 Internal Server Error, want 2xx: "no paper"`},
	} {
		h := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(tc.status)
			_, _ = w.Write([]byte(tc.body)) // a status without a body refuses it
		})
		err := h.Call(t.Context(), struct{}{}, nil)
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("status %d: %v, want %q", tc.status, err, tc.want)
		}
	}
}

// A program that is asked for no answer may print what it likes: that is for whoever reads the log.
func TestProgramThatIsAskedForNoAnswer(t *testing.T) {
	var out, errOut strings.Builder
	p := newProgram(t, "print", nil, "all is well\n")
	p.stdout, p.stderr = &out, &errOut
	if err := p.Call(t.Context(), struct{}{}, nil); err != nil || out.String() != "all is well\n" {
		t.Errorf("it has printed %q: %v", out.String(), err)
	}
	p = newProgram(t, "fail", nil)
	p.stdout, p.stderr = &out, &errOut
	err := p.Call(t.Context(), struct{}{}, nil)
	if failure := (*Error)(nil); !errors.As(err, &failure) || failure.Reason != Failed || !strings.HasSuffix(failure.Excerpt, "the reason") {
		t.Errorf("it has ended with 3: %v, want what it wrote last", err)
	}
	if !strings.HasSuffix(errOut.String(), "the reason") {
		t.Errorf("the log has %q, want what it wrote last", errOut.String())
	}
}
