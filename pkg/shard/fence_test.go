// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/pkg/lease"
)

// testTerm is a term that is valid for the duration, unless renewed.
func testTerm(d time.Duration) (*Term, func(time.Duration)) {
	clock := lease.MonotonicClock()
	v := lease.NewValidity(clock)
	extend := func(d time.Duration) { v.Extend(clock.Now().Add(d)) }
	extend(d)
	return newTerm(lease.Term{Shard: "widgets.example.com", Epoch: 7}, v), extend
}

// transport answers after a delay, unless the request's context is done
// before.
type transport struct {
	delay time.Duration
	body  string
	sent  int
}

func (s *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	s.sent++
	select {
	case <-time.After(s.delay):
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(s.body)),
	}, nil
}

// newFence returns the fence before a transport. Its metrics are registered
// nowhere.
func newFence(next http.RoundTripper) *fencedTransport {
	m, err := newMetrics(nil, "g")
	if err != nil {
		panic(err) // nothing is registered that could be there already
	}
	return &fencedTransport{next: next, metrics: m}
}

func send(ctx context.Context, s *transport, method string) error {
	req, err := http.NewRequestWithContext(ctx, method, "https://api/apis/example.com/v1/namespaces/ns/widgets/w", nil)
	if err != nil {
		return err
	}
	resp, err := newFence(s).RoundTrip(req)
	if err != nil {
		return err
	}
	_, err = io.ReadAll(resp.Body)
	return errors.Join(err, resp.Body.Close())
}

func inTerm(ctx context.Context, t *Term) context.Context { return context.WithValue(ctx, termKey, t) }

func TestFenceSendsOnlyWhatMayBeSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		valid, _ := testTerm(time.Minute)
		lapsed, _ := testTerm(0)
		ended, _ := testTerm(time.Minute)
		ended.end()
		none := context.Background()
		for _, tc := range []struct {
			name   string
			ctx    context.Context
			method string
			want   error
		}{
			{"a read outside of any term", none, http.MethodGet, nil},
			{"a read after the term", inTerm(none, lapsed), http.MethodGet, nil},
			{"a write outside of any term", none, http.MethodPost, ErrNoTerm},
			{"a write marked as unfenced", Unfenced(none, "set-up"), http.MethodPost, nil},
			{"a write within the term", inTerm(none, valid), http.MethodPatch, nil},
			{"a write after the validity", inTerm(none, lapsed), http.MethodPut, ErrTermOver},
			{"a write after the term, while the session is valid", inTerm(none, ended), http.MethodDelete, ErrTermOver},
			{"a write after the term is not saved by the mark", Unfenced(inTerm(none, lapsed), "no"), http.MethodDelete, ErrTermOver},
		} {
			s := &transport{body: "{}"}
			err := send(tc.ctx, s, tc.method)
			if !errors.Is(err, tc.want) || (err != nil) != (tc.want != nil) {
				t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
			}
			if sent := s.sent == 1; sent != (tc.want == nil) {
				t.Errorf("%s: sent %t", tc.name, sent)
			}
		}
	})
}

func TestFenceCancelsAWriteWhenTheValidityEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, extend := testTerm(3 * time.Second)
		began := time.Now()
		time.AfterFunc(2*time.Second, func() { extend(3 * time.Second) }) // renewed once: until 5 s
		err := send(inTerm(t.Context(), term), &transport{delay: time.Minute}, http.MethodPut)
		if !errors.Is(err, ErrTermOver) {
			t.Errorf("the write ended with %v, want ErrTermOver", err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("the write was cancelled after %s, want 5s", took)
		}
	})
}

func TestFenceCancelsAWriteWhenTheTermEndsDuringAHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, _ := testTerm(time.Minute)
		ctx, cancel := context.WithCancelCause(inTerm(t.Context(), term))
		time.AfterFunc(time.Millisecond, func() { cancel(ErrHandedOver) })
		time.AfterFunc(time.Second, term.end)
		began := time.Now()
		if err := send(ctx, &transport{delay: time.Hour}, http.MethodPut); !errors.Is(err, ErrTermOver) {
			t.Errorf("the write ended with %v, want ErrTermOver", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the write was cancelled after %s, want 1s", took)
		}
	})
}

func TestFenceWaitsForAWriteDuringAHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, _ := testTerm(time.Minute)
		ctx, cancel := context.WithCancelCause(inTerm(t.Context(), term))
		time.AfterFunc(time.Second, func() { cancel(fmt.Errorf("%w: balance", ErrHandedOver)) })
		if err := send(ctx, &transport{delay: 2 * time.Second, body: "{}"}, http.MethodPut); err != nil {
			t.Errorf("a write under way at the hand-over ended with %v, want its answer", err)
		}
	})
}

func TestFenceLetsTheCallerGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, _ := testTerm(time.Minute)
		defer term.end()
		ctx, cancel := context.WithTimeout(inTerm(t.Context(), term), time.Second)
		defer cancel()
		began := time.Now()
		err := send(ctx, &transport{delay: 30 * time.Second}, http.MethodPut)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the write ended with %v, want the caller's deadline", err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the caller waited for %s, want 1s", took)
		}
	})
}

func TestFenceDoesNotSendForACallerThatGaveUpBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, _ := testTerm(time.Minute)
		ctx, cancel := context.WithCancelCause(inTerm(t.Context(), term))
		cancel(ErrHandedOver)
		s := &transport{body: "{}"}
		if err := send(ctx, s, http.MethodPut); !errors.Is(err, ErrHandedOver) || s.sent != 0 {
			t.Errorf("sent %d, error %v; want nothing sent and ErrHandedOver", s.sent, err)
		}
		term.awaitWrites(time.Hour) // or the bubble reports what it would hang on
	})
}

// The term is not over for the next holder while a write may still be carried
// out (R13), whoever waits for its answer.
func TestFenceTermWaitsForWritesWhoseCallerGaveUp(t *testing.T) {
	for _, tc := range []struct {
		name                       string
		answer, validity, patience time.Duration
		want                       time.Duration
	}{
		{"until the answer", 5 * time.Second, time.Minute, 20 * time.Second, 5 * time.Second},
		{"until the patience is over", time.Hour, time.Minute, 20 * time.Second, 21 * time.Second},
		{"until the validity ends", time.Hour, 7 * time.Second, 20 * time.Second, 7 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				term, _ := testTerm(tc.validity)
				defer term.end()
				began := time.Now()
				ctx, cancel := context.WithTimeout(inTerm(t.Context(), term), time.Second)
				defer cancel()
				s := &transport{delay: tc.answer, body: `{"kind": "Widget", "metadata": {"resourceVersion": "100"}}`}
				if err := send(ctx, s, http.MethodPatch); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("the write ended with %v, want the caller's deadline", err)
				}
				term.awaitWrites(tc.patience)
				if took := time.Since(began); took != tc.want {
					t.Errorf("the term waited for %s, want %s", took, tc.want)
				}
				if noted, answered := len(term.wrote()) == 1, tc.want == tc.answer; noted != answered {
					t.Errorf("the write counts as carried out: %t, want %t", noted, answered)
				}
				if err := send(inTerm(t.Context(), term), s, http.MethodPut); !errors.Is(err, ErrTermOver) {
					t.Errorf("a write after the wait: %v, want ErrTermOver", err)
				}
			})
		})
	}
}

func TestFenceRemembersWhatWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, _ := testTerm(time.Minute)
		for _, rv := range []string{"100", "99"} {
			body := fmt.Sprintf(`{"kind": "Widget", "metadata": {"resourceVersion": %q}}`, rv)
			if err := send(inTerm(t.Context(), term), &transport{body: body}, http.MethodPut); err != nil {
				t.Fatal(err)
			}
		}
		if err := send(inTerm(t.Context(), term), &transport{body: `{"kind": "Status", "metadata": {"resourceVersion": "200"}}`}, http.MethodDelete); err != nil {
			t.Fatal(err)
		}
		if got, want := term.wrote(), map[string]string{"widgets.example.com": "100"}; !maps.Equal(got, want) {
			t.Errorf("the term wrote %v, want %v", got, want)
		}
	})
}

func TestTargetOf(t *testing.T) {
	for path, want := range map[string]target{
		"/api/v1/namespaces/ns/pods":                            {resource: "pods", collection: "/api/v1/namespaces/ns/pods"},
		"/api/v1/namespaces/ns/pods/p/status":                   {resource: "pods", collection: "/api/v1/namespaces/ns/pods", name: "p", subresource: "status"},
		"/api/v1/namespaces/ns/pods/p/proxy/some/page":          {resource: "pods", collection: "/api/v1/namespaces/ns/pods", name: "p", subresource: "proxy"},
		"/api/v1/namespaces/ns":                                 {resource: "namespaces", collection: "/api/v1/namespaces", name: "ns"},
		"/api/v1/namespaces/ns/finalize":                        {resource: "namespaces", collection: "/api/v1/namespaces", name: "ns", subresource: "finalize"},
		"/api/v1/nodes/n":                                       {resource: "nodes", collection: "/api/v1/nodes", name: "n"},
		"/apis/apps/v1/namespaces/ns/deployments/d/scale":       {resource: "deployments.apps", collection: "/apis/apps/v1/namespaces/ns/deployments", name: "d", subresource: "scale"},
		"/apis/example.com/v1/widgets/w":                        {resource: "widgets.example.com", collection: "/apis/example.com/v1/widgets", name: "w"},
		"/apis/example.com/v1/namespaces/ns/widgets/namespaces": {resource: "widgets.example.com", collection: "/apis/example.com/v1/namespaces/ns/widgets", name: "namespaces"},
		"/healthz":       {},
		"/api/v1":        {},
		"/apis/apps/v1/": {},
	} {
		if got, ok := targetOf(path); got != want || ok != (want != target{}) {
			t.Errorf("targetOf(%q) = %+v, %t, want %+v", path, got, ok, want)
		}
	}
}

func TestBasePath(t *testing.T) {
	for host, want := range map[string]string{
		"":                                 "",
		"10.0.0.1:6443":                    "",
		"https://api":                      "",
		"https://api/":                     "",
		"https://proxy/k8s/clusters/c-1":   "/k8s/clusters/c-1",
		"https://proxy//k8s/clusters/c-1/": "/k8s/clusters/c-1",
		"proxy/without/scheme":             "",
	} {
		if got := basePath(&rest.Config{Host: host}); got != want {
			t.Errorf("basePath of %q = %q, want %q", host, got, want)
		}
	}
}

func TestAsServed(t *testing.T) {
	const base = "/k8s/clusters/c-1"
	for _, tc := range []struct{ base, path, want string }{
		{"", "/api/v1/pods", "/api/v1/pods"},
		{base, base + "/api/v1/pods", "/api/v1/pods"},
		{base, "/api/v1/pods", ""},
		{base, base + "0/api/v1/pods", ""},
		{base, base, ""},
		{"/api", "/api/api/v1/pods", "/api/v1/pods"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://proxy"+tc.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := &fencedTransport{base: tc.base}
		if got := f.asServed(req).URL.Path; got != tc.want || req.URL.Path != tc.path {
			t.Errorf("below %q, the path %q is served as %q, want %q, and the request is for %q now", tc.base, tc.path, got, tc.want, req.URL.Path)
		}
	}
}

func TestFenceLetsPassWhatChangesNothing(t *testing.T) {
	const authorization = "/apis/authorization.k8s.io/v1/"
	for _, tc := range []struct {
		method, url string
		want        bool
	}{
		{http.MethodGet, "/api/v1/pods?watch=true", true},
		{http.MethodGet, "/api/v1/namespaces/ns/pods/p/log?follow=true", true},
		{http.MethodHead, "/healthz", true},
		{http.MethodPost, authorization + "selfsubjectaccessreviews", true},
		{http.MethodPost, authorization + "namespaces/ns/localsubjectaccessreviews", true},
		{http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", true},
		{http.MethodPut, authorization + "selfsubjectaccessreviews", false},
		{http.MethodPost, authorization + "selfsubjectaccessreviews/some-name", false},
		{http.MethodPost, "/apis/example.com/v1/tokenreviews", false},
		{http.MethodPost, "/api/v1/namespaces/ns/serviceaccounts/sa/token", false},
		{http.MethodPost, "/api/v1/namespaces/ns/pods?dryRun=All", false},
		{http.MethodDelete, "/api/v1/namespaces/ns/pods", false},
	} {
		s := &transport{body: "{}"}
		req, err := http.NewRequestWithContext(t.Context(), tc.method, "https://api"+tc.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := newFence(s).RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		if passed := err == nil; passed != tc.want || passed != (s.sent == 1) || !passed && !errors.Is(err, ErrNoTerm) {
			t.Errorf("%s %s: sent %d, error %v; want it to pass: %t", tc.method, tc.url, s.sent, err, tc.want)
		}
	}
}

func TestWriteErrorTellsWhatBecameOfTheWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const path = "/apis/example.com/v1/namespaces/ns/widgets/w"
		lapsed, _ := testTerm(0)
		brief, _ := testTerm(time.Second)
		for _, tc := range []struct {
			ctx     context.Context
			sent    bool
			message string
		}{
			{t.Context(), false, "PUT " + path + " was not sent: a write outside of any term"},
			{inTerm(t.Context(), lapsed), false, "PUT " + path + " was not sent (shard widgets.example.com, epoch 7): the term is over"},
			{inTerm(t.Context(), brief), true, "PUT " + path + " was sent, and may be carried out (shard widgets.example.com, epoch 7): the term is over: context canceled"},
		} {
			err := send(tc.ctx, &transport{delay: time.Minute}, http.MethodPut)
			failure, ok := errors.AsType[*WriteError](err)
			if !ok || failure.Method != http.MethodPut || failure.Path != path || failure.Sent != tc.sent || failure.Error() != tc.message {
				t.Errorf("got %#v: %v\nwant sent %t: %s", err, err, tc.sent, tc.message)
			}
		}
	})
}
