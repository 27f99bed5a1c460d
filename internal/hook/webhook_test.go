// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func wantError(t *testing.T, err error, reason Reason, text string) *Error {
	t.Helper()
	var failure *Error
	if !errors.As(err, &failure) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if failure.Reason != reason || !strings.Contains(err.Error(), text) {
		t.Errorf("got %s %q, want %s with %q", failure.Reason, err, reason, text)
	}
	if len(err.Error()) > 2048 {
		t.Errorf("the message has %d bytes", len(err.Error()))
	}
	return failure
}

// serve starts a server for a test and returns a hook that calls it.
func serve(t *testing.T, handler http.HandlerFunc, change ...func(*Webhook)) *webhook {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	config := &Webhook{URL: server.URL + "/sync?token=secret", Timeout: "1m"}
	for _, f := range change {
		f(config)
	}
	h, err := New(&Config{Version: "v1", Webhook: config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h.(*webhook)
}

// say answers every request with a body.
func say(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

func TestWebhookPostsJSON(t *testing.T) {
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"method": %q, "type": %q, "path": %q, "body": %s}`, r.Method, r.Header.Get("Content-Type"), r.URL.Path, body)
	})
	var got map[string]any
	if err := h.Call(t.Context(), map[string]any{"finalizing": false}, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"method": "POST", "type": "application/json", "path": "/sync", "body": map[string]any{"finalizing": false}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the hook got %v, want %v", got, want)
	}
}

func TestAnswerKeepsWholeNumbersAndIgnoresUnknownFields(t *testing.T) {
	h := serve(t, say(`{"known": {"big": 9007199254740993, "f": 1.5}, "Known": 1, "new": true}`))
	var got struct {
		Known map[string]any `json:"known"`
	}
	if err := h.Call(t.Context(), struct{}{}, &got); err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"big": int64(9007199254740993), "f": 1.5}; !reflect.DeepEqual(got.Known, want) {
		t.Errorf("got %v, want %v", got.Known, want)
	}
}

func TestStrictModeRefusesUnknownAndDuplicateFields(t *testing.T) {
	strict := func(w *Webhook) { w.ResponseUnMarshallMode = "strict" }
	for body, text := range map[string]string{
		`{"statsu": {}}`:               `unknown field \"statsu\"`,
		`{"status": {}, "status": {}}`: `duplicate field \"status\"`,
	} {
		var got struct {
			Status map[string]any `json:"status"`
		}
		wantError(t, serve(t, say(body), strict).Call(t.Context(), struct{}{}, &got), BadAnswer, strings.ReplaceAll(text, `\`, ""))
	}
}

func TestWebhookFailures(t *testing.T) {
	status := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			io.WriteString(w, body)
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		reason  Reason
		text    string
	}{
		{"500", status(500, "boom\nat line 1"), Failed, `status 500 Internal Server Error, want 200: "boom\nat line 1"`},
		{"503", status(503, ""), Failed, "status 503 Service Unavailable, want 200"},
		{"201", status(201, "{}"), Failed, "status 201 Created, want 200"},
		{"204", status(204, ""), Failed, "status 204 No Content, want 200"},
		{"302", status(302, ""), Failed, "status 302 Found, want 200"},
		{"304", status(304, ""), Failed, "status 304 Not Modified, want 200"},
		{"429 without Retry-After", status(429, "slow down"), Throttled, "status 429"},
		{"long error page", status(500, strings.Repeat("x", 1<<20)), Failed, strings.Repeat("x", maxExcerptBytes)},
		{"garbage", say("<html>"), BadAnswer, `is not a JSON object: "<html>"`},
		{"empty", say(" \n"), BadAnswer, "is empty"},
		{"null", say("null"), BadAnswer, "is not a JSON object"},
		{"list", say("[]"), BadAnswer, "is not a JSON object"},
		{"cut off", say(`{"a": 1`), BadAnswer, "unexpected end"},
		{"two answers", say(`{} {}`), BadAnswer, "after top-level value"},
		{"wrong type", say(`{"labels": {"a": 1}}`), BadAnswer, "labels"},
		{"nested too deep", say(`{"labels":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + "}"), BadAnswer, "max depth"},
		{"too large", say(`{"a": "` + strings.Repeat("x", MaxAnswerBytes) + `"}`), TooLarge, "10485760 bytes"},
		{"broken off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"a":`)
		}, Unreachable, "the answer broke off"},
		{"redirected for ever", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}, Unreachable, "more than 10 redirects"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var answer struct {
				Labels map[string]string `json:"labels"`
			}
			h := serve(t, tt.handler)
			err := h.Call(t.Context(), struct{}{}, &answer)
			failure := wantError(t, err, tt.reason, tt.text)
			if failure.RetryAfter() != 0 {
				t.Errorf("RetryAfter is %s", failure.RetryAfter())
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%q shows the query of the URL", err)
			}
		})
	}
}

func TestAnswerOfJustTheLargestSizeIsRead(t *testing.T) {
	frame := `{"a": ""}`
	h := serve(t, say(`{"a": "`+strings.Repeat("x", MaxAnswerBytes-len(frame))+`"}`))
	var answer struct {
		A string `json:"a"`
	}
	if err := h.Call(t.Context(), struct{}{}, &answer); err != nil || len(answer.A) != MaxAnswerBytes-len(frame) {
		t.Errorf("got %d bytes, %v", len(answer.A), err)
	}
}

func TestRetryAfter(t *testing.T) {
	sent := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, value string
		date        string
		want        time.Duration
	}{
		{"seconds", "7", "", 7 * time.Second},
		{"zero", "0", "", 0},
		{"negative", "-3", "", 0},
		{"nonsense", "soon", "", 0},
		{"missing", "", "", 0},
		{"capped seconds", "9999999999", "", MaxRetryAfter},
		{"capped date", "Sun, 01 Mar 2027 12:00:00 GMT", "", MaxRetryAfter},
		{"date", "Sun, 01 Mar 2026 12:01:30 GMT", "", 90 * time.Second},
		{"date gone by", "Sun, 01 Mar 2026 11:00:00 GMT", "", 0},
		{"date by the hook's own clock", "Sun, 01 Mar 2026 08:00:20 GMT", "Sun, 01 Mar 2026 08:00:00 GMT", 20 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			header := http.Header{}
			header.Set("Retry-After", tt.value)
			header.Set("Date", tt.date)
			if got := retryAfter(header, sent); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestThrottledCallKnowsWhenToComeBack(t *testing.T) {
	for name, value := range map[string]string{
		"seconds": "30",
		"date":    "Sun, 01 Mar 2026 12:00:30 GMT",
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Date", "Sun, 01 Mar 2026 12:00:00 GMT")
				w.Header().Set("Retry-After", value)
				w.WriteHeader(http.StatusTooManyRequests)
			})
			failure := wantError(t, h.Call(t.Context(), struct{}{}, &struct{}{}), Throttled, "status 429")
			if failure.RetryAfter() != 30*time.Second {
				t.Errorf("RetryAfter is %s, want 30s", failure.RetryAfter())
			}
		})
	}
}

func TestSlowHookTimesOut(t *testing.T) {
	slow := map[string]http.HandlerFunc{
		"before the answer": func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
		"within the answer": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, `{"a":`)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	}
	for name, handler := range slow {
		t.Run(name, func(t *testing.T) {
			h := serve(t, handler, func(w *Webhook) { w.Timeout = "50ms" })
			wantError(t, h.Call(t.Context(), struct{}{}, &struct{}{}), TimedOut, "no answer within 50ms")
		})
	}
}

func TestEndOfContextAbortsTheCallAndIsNotTheHooksFault(t *testing.T) {
	arrived, gone := make(chan struct{}), make(chan struct{})
	h := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
		close(gone)
	})
	over := errors.New("the term is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-arrived; cancel(over) }()
	err := h.Call(ctx, struct{}{}, &struct{}{})
	var failure *Error
	if !errors.Is(err, over) || errors.As(err, &failure) {
		t.Errorf("got %v, want the context's cause and no *Error", err)
	}
	<-gone // the hook sees the connection break
}

func TestUnreachableWebhook(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	h, err := New(&Config{Webhook: &Webhook{URL: "http://user:secret@" + l.Addr().String()}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	err = h.Call(t.Context(), struct{}{}, &struct{}{})
	wantError(t, err, Unreachable, "connection refused")
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%q shows the password", err)
	}
}

func TestRedirectThatKeepsThePostIsFollowed(t *testing.T) {
	h := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sync" {
			http.Redirect(w, r, "/moved", http.StatusPermanentRedirect)
			return
		}
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, `{"method": %q, "body": %s}`, r.Method, body)
	})
	var got map[string]any
	if err := h.Call(t.Context(), map[string]any{"a": int64(1)}, &got); err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"method": "POST", "body": map[string]any{"a": int64(1)}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestConnectionIsUsedAgain(t *testing.T) {
	var connections, calls atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1)%2 == 0 {
			w.WriteHeader(http.StatusInternalServerError) // an error must not cost the connection
		}
		io.WriteString(w, "{}")
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	h, err := New(&Config{Webhook: &Webhook{URL: server.URL}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for range 6 {
		// Every second call fails, as it should.
		_ = h.Call(t.Context(), struct{}{}, &struct{}{})
	}
	if calls.Load() != 6 || connections.Load() != 1 {
		t.Errorf("%d calls took %d connections, want 6 over 1", calls.Load(), connections.Load())
	}
}
