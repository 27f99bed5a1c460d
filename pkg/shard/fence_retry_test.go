// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/pkg/fence"
)

// refusal is the API server's answer when a policy denies.
func refusal(words string) string {
	return fmt.Sprintf(`{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403, "reason": "Forbidden",
		"message": "widgets.example.com \"w\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: %s"}`, words)
}

// refusing is an API server that answers 403 to writes until the instant.
type refusing struct {
	until  time.Time
	body   string
	bodies []string // that it got
}

func (r *refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.bodies = append(r.bodies, string(body))
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader("{}"))}
	if time.Now().Before(r.until) {
		resp.StatusCode, resp.Body = http.StatusForbidden, io.NopCloser(strings.NewReader(r.body))
	}
	return resp, nil
}

func TestFenceSendsAgainWhatTheServersFenceRefused(t *testing.T) {
	const ever = time.Hour
	words := refusal(fence.MessagePrefix + "p holds the shard")
	for _, tc := range []struct {
		name            string
		refused         time.Duration // for how long it is
		body            string
		age             time.Duration // of the term
		validity        time.Duration
		handedOver      time.Duration // when the caller's context says so; 0: never
		timeout         time.Duration // of the caller; 0: none
		once            bool          // the body cannot be had again
		admitted        bool
		atLeast, atMost time.Duration
		counted         bool // as a refusal of the server
	}{
		{name: "until the API server knows of the term", refused: 30 * time.Millisecond, body: words, admitted: true, atLeast: 30 * time.Millisecond, atMost: 90 * time.Millisecond},
		{name: "for a second and a half at most", refused: ever, body: words, atLeast: time.Second, atMost: refusedPatience, counted: true},
		{name: "not much longer than the term is unknown", refused: ever, body: words, age: termUnknownFor - 100*time.Millisecond, atMost: 100 * time.Millisecond, counted: true},
		{name: "not in a term that every API server knows", refused: ever, body: words, age: termUnknownFor, atMost: 0, counted: true},
		{name: "not what anything else refused", refused: ever, body: refusal("quota"), atMost: 0},
		{name: "not after the term", refused: ever, body: words, validity: 200 * time.Millisecond, atMost: 200 * time.Millisecond, counted: true},
		{name: "not once the shard is handed over", refused: ever, body: words, handedOver: 100 * time.Millisecond, atLeast: 100 * time.Millisecond, atMost: 100 * time.Millisecond, counted: true},
		{name: "not past the caller's deadline", refused: ever, body: words, timeout: 100 * time.Millisecond, atMost: 99 * time.Millisecond, counted: true},
		{name: "not what cannot be sent again", refused: ever, body: words, once: true, atMost: 0, counted: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tc.validity == 0 {
					tc.validity = time.Minute
				}
				term, _ := testTerm(tc.validity)
				defer term.end()
				time.Sleep(tc.age)
				ctx, cancel := context.WithCancelCause(inTerm(t.Context(), term))
				defer cancel(nil)
				if tc.handedOver > 0 {
					time.AfterFunc(tc.handedOver, func() { cancel(ErrHandedOver) })
				}
				if tc.timeout > 0 {
					var stop func()
					ctx, stop = context.WithTimeout(ctx, tc.timeout)
					defer stop()
				}
				server := &refusing{until: time.Now().Add(tc.refused), body: tc.body}
				f := newFence(server)
				const sent = `{"metadata": {"name": "w"}}`
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api/apis/example.com/v1/namespaces/ns/widgets", bytes.NewReader([]byte(sent)))
				if err != nil {
					t.Fatal(err)
				}
				if tc.once {
					req.GetBody = nil
				}
				began := time.Now()
				resp, err := f.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				took := time.Since(began)
				if took < tc.atLeast || took > tc.atMost {
					t.Errorf("the answer came after %s, want %s to %s", took, tc.atLeast, tc.atMost)
				}
				got, err := io.ReadAll(resp.Body)
				if err != nil || resp.Body.Close() != nil {
					t.Errorf("the answer cannot be read: %v", err)
				}
				if admitted := resp.StatusCode == http.StatusOK; admitted != tc.admitted || !admitted && string(got) != tc.body {
					t.Errorf("status %d, body %s", resp.StatusCode, got)
				}
				for _, body := range server.bodies {
					if body != sent {
						t.Errorf("%q was sent, want %q", body, sent)
					}
				}
				wantCounts(t, f.metrics, len(server.bodies)-1, tc.counted)
			})
		})
	}
}

func wantCounts(t *testing.T, m *metrics, retries int, refused bool) {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(m.resent, m.refused)
	if got := seriesOf(t, r, "fence_retries_total"); got[0].value != float64(retries) {
		t.Errorf("%v retries were counted, want %d", got[0].value, retries)
	}
	rejections := 0.0
	for _, s := range seriesOf(t, r, "fence_rejections_total") {
		rejections += s.value
	}
	if (rejections == 1) != refused {
		t.Errorf("%v were counted as refused, want one: %t", rejections, refused)
	}
}

func TestServerFenced(t *testing.T) {
	status := func(body string) error {
		var s metav1.Status
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		return fmt.Errorf("update: %w", &apierrors.StatusError{ErrStatus: s})
	}
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{status(refusal(fence.MessagePrefix + "no")), true},
		{status(refusal("no")), false},
		{fmt.Errorf("%sno", fence.MessagePrefix), false},
		{ErrTermOver, false},
		{nil, false},
	} {
		if got := ServerFenced(tc.err); got != tc.want {
			t.Errorf("ServerFenced(%v) = %t", tc.err, got)
		}
	}
}

func TestPeekLeavesTheAnswerWhole(t *testing.T) {
	for _, tc := range []struct {
		name string
		body io.Reader
		want error
	}{
		{"short", strings.NewReader("abc"), nil},
		{"longer than what is looked at", strings.NewReader("abcdefgh"), nil},
		{"broken off", io.MultiReader(strings.NewReader("ab"), failing{io.ErrUnexpectedEOF}), io.ErrUnexpectedEOF},
	} {
		var whole bytes.Buffer
		resp := &http.Response{Body: io.NopCloser(io.TeeReader(tc.body, &whole))}
		ahead := peek(resp, 5)
		got, err := io.ReadAll(resp.Body)
		if err != tc.want || string(got) != whole.String() || len(ahead) > 5 || !bytes.HasPrefix(got, ahead) {
			t.Errorf("%s: %q after %q, error %v; want %q, error %v", tc.name, got, ahead, err, whole.String(), tc.want)
		}
	}
}
