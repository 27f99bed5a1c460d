// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// losing is an API server whose answers to writes are lost. It answers reads,
// with status 200 unless read is empty, and otherwise after that instant.
type losing struct {
	code   int    // of the answer to a write; 0: the connection breaks
	body   string // of that answer
	before string // what is read until the instant; empty: there is nothing
	at     time.Time
	after  string
	reads  []string // paths
}

func (l *losing) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		if l.code == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		return jsonAnswer(l.code, l.body), nil
	}
	if req.Body != nil || req.ContentLength != 0 || req.URL.RawQuery != "" || req.Header.Get("Authorization") != "Bearer mine" {
		return nil, fmt.Errorf("not a read of an object by the same user: %+v", req)
	}
	l.reads = append(l.reads, req.URL.Path)
	body := l.before
	if !l.at.IsZero() && !time.Now().Before(l.at) {
		body = l.after
	}
	if body == "" {
		return jsonAnswer(http.StatusNotFound, `{"kind": "Status"}`), nil
	}
	return jsonAnswer(http.StatusOK, body), nil
}

func jsonAnswer(code int, body string) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}

// A write without an answer holds the shard until an object that is read back
// shows that it can do no more harm (R13).
func TestShardWaitsForWritesWithoutAnAnswer(t *testing.T) {
	const (
		widgets  = "/apis/example.com/v1/namespaces/ns/widgets"
		patience = 20 * time.Second
	)
	object := func(rv, uid, more string) string {
		return fmt.Sprintf(`{"kind": "Widget", "metadata": {"name": "w", "uid": %q, "resourceVersion": %q%s}}`, uid, rv, more)
	}
	had := object("7", "u", "")
	for _, tc := range []struct {
		name         string
		method, path string
		body         string
		before       string
		changed      time.Duration // 0: never
		after        string
		wait         time.Duration
	}{
		{"an update that the object does not show yet", "PUT", widgets + "/w", had, had, 0, "", patience},
		{"an update of what has changed", "PUT", widgets + "/w", had, object("8", "u", ""), 0, "", 0},
		{"an update of what changes by and by", "PUT", widgets + "/w", had, had, 20 * time.Millisecond, object("8", "u", ""), time.Second},
		{"an update of a subresource", "PUT", widgets + "/w/status", had, object("8", "u", ""), 0, "", 0},
		{"an update of what is gone", "PUT", widgets + "/w", had, "", 0, "", 0},
		{"an update without condition", "PUT", widgets + "/w", `{"metadata": {"name": "w"}}`, object("8", "u", ""), 0, "", patience},
		{"a patch with a condition", "PATCH", widgets + "/w", `{"metadata": {"resourceVersion": "7"}}`, object("8", "u", ""), 0, "", 0},
		{"a patch without", "PATCH", widgets + "/w", `[{"op": "remove", "path": "/spec"}]`, object("8", "u", ""), 0, "", patience},
		{"a creation of what is there", "POST", widgets, `{"metadata": {"name": "w"}}`, object("8", "u", ""), 0, "", 0},
		{"a creation of what is not there yet", "POST", widgets, `{"metadata": {"name": "w"}}`, "", 0, "", patience},
		{"a creation under any name", "POST", widgets, `{"metadata": {"generateName": "w-"}}`, had, 0, "", patience},
		{"a deletion of what is there", "DELETE", widgets + "/w", `{"preconditions": {"uid": "u"}}`, had, 0, "", patience},
		{"a deletion of what is gone", "DELETE", widgets + "/w", `{"preconditions": {"uid": "u"}}`, "", 0, "", 0},
		{"a deletion of what is another now", "DELETE", widgets + "/w", `{"preconditions": {"uid": "u"}}`, object("9", "v", ""), 0, "", 0},
		{"a deletion of what is being deleted", "DELETE", widgets + "/w", `{"preconditions": {"uid": "u"}}`, object("9", "u", `, "deletionTimestamp": "2030-01-01T00:00:00Z"`), 0, "", 0},
		{"a deletion of whatever has the name", "DELETE", widgets + "/w", `{}`, "", 0, "", patience},
		{"a deletion of many", "DELETE", widgets, `{}`, "", 0, "", patience},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &losing{before: tc.before, after: tc.after}
				if tc.changed > 0 {
					server.at = time.Now().Add(tc.changed)
				}
				term, _ := testTerm(time.Hour)
				defer term.end()
				lose(t, server, term, tc.method, tc.path, tc.body)
				if len(server.reads) > 0 {
					t.Errorf("%v was read although nobody waits", server.reads)
				}
				began := time.Now()
				term.awaitWrites(patience)
				if took := time.Since(began); tc.wait == 0 && took > 0 || took > tc.wait || tc.wait == patience && took < patience {
					t.Errorf("the shard waited for %s, want %s", took, tc.wait)
				}
				term.end()
				synctest.Wait() // nothing is read any more
				for _, path := range server.reads {
					if path != widgets+"/w" {
						t.Errorf("%s was read, want the object", path)
					}
				}
			})
		})
	}
}

// lose sends a write whose answer is lost.
func lose(t *testing.T, server *losing, term *Term, method, path, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(inTerm(t.Context(), term), method, "https://api"+path+"?fieldManager=m", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer mine")
	resp, err := newFence(server).RoundTrip(req)
	if err == nil {
		err = resp.Body.Close()
	} else if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("the write ended with %v, want the transport's error", err)
	}
	if err != nil && server.code != 0 {
		t.Fatal(err)
	}
	synctest.Wait()
}

func TestNextHolderHasToHaveSeenWhatWasReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term, _ := testTerm(time.Hour)
		defer term.end()
		server := &losing{before: `{"kind": "Widget", "metadata": {"resourceVersion": "12"}}`}
		lose(t, server, term, http.MethodPut, "/apis/example.com/v1/widgets/w", `{"metadata": {"resourceVersion": "7"}}`)
		term.awaitWrites(time.Second)
		if got, want := term.wrote(), map[string]string{"widgets.example.com": "12"}; !maps.Equal(got, want) {
			t.Errorf("the next holder waits for %v, want %v", got, want)
		}
	})
}

func TestObjectIsReadBackBehindAProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const path = "/k8s/clusters/c-1/apis/example.com/v1/widgets/w"
		term, _ := testTerm(time.Hour)
		defer term.end()
		server := &losing{before: `{"kind": "Widget", "metadata": {"resourceVersion": "12"}}`}
		f := newFence(server)
		f.base = "/k8s/clusters/c-1"
		req, err := http.NewRequestWithContext(inTerm(t.Context(), term), http.MethodPut, "https://proxy"+path, strings.NewReader(`{"metadata": {"resourceVersion": "7"}}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer mine")
		if _, err := f.RoundTrip(req); !errors.Is(err, io.ErrUnexpectedEOF) { //nolint:bodyclose // there is no answer
			t.Fatalf("%v, want the transport's error", err)
		}
		term.awaitWrites(time.Second)
		if want := []string{path}; !slices.Equal(server.reads, want) {
			t.Errorf("%v was read, want %v", server.reads, want)
		}
		if got, want := term.wrote(), map[string]string{"widgets.example.com": "12"}; !maps.Equal(got, want) {
			t.Errorf("the next holder waits for %v, want %v", got, want)
		}
	})
}

func TestHowLongAWriteWithoutAnAnswerCounts(t *testing.T) {
	const body = `{"metadata": {"name": "w"}}`
	for _, tc := range []struct {
		name                    string
		before, validity, after time.Duration // until somebody waits; of the term; want
	}{
		{"for a minute from when the connection broke", 50 * time.Second, time.Hour, 10 * time.Second},
		{"not after that minute", 2 * time.Minute, time.Hour, 0},
		{"not after the validity", 0, 3 * time.Second, 3 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				term, _ := testTerm(tc.validity)
				defer term.end()
				lose(t, &losing{}, term, http.MethodPost, "/apis/example.com/v1/widgets", body)
				time.Sleep(tc.before)
				began := time.Now()
				term.awaitWrites(20 * time.Second)
				if took := time.Since(began); took != tc.after {
					t.Errorf("the shard waited for %s, want %s", took, tc.after)
				}
			})
		})
	}
}

func TestAnswersThatLeaveTheOutcomeOpen(t *testing.T) {
	for _, tc := range []struct {
		code int
		body string
		open bool
	}{
		{http.StatusOK, `{}`, false},
		{http.StatusConflict, `{}`, false},
		{http.StatusTooManyRequests, `{}`, false},
		{http.StatusInternalServerError, `{"message": "failed calling webhook"}`, false},
		{http.StatusInternalServerError, `{"message": "etcdserver: request timed out"}`, true},
		{http.StatusBadGateway, `bad gateway`, true},
		{http.StatusServiceUnavailable, `{}`, false},
		{http.StatusGatewayTimeout, `{}`, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			term, _ := testTerm(time.Hour)
			defer term.end()
			lose(t, &losing{code: tc.code, body: tc.body}, term, http.MethodPost, "/api/v1/pods", `{}`)
			began := time.Now()
			term.awaitWrites(time.Second)
			if open := time.Since(began) > 0; open != tc.open {
				t.Errorf("%d %s leaves the outcome open: %t, want %t", tc.code, tc.body, open, tc.open)
			}
		})
	}
}
