// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// shortTimeout is that of hooks which do not come to an end by themselves.
func shortTimeout(w *Webhook) { w.Timeout = "200ms" }

// anything takes every answer whole.
type anything map[string]any

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// gzipped is a text of n spaces as an HTTP server sends it to those who take gzip.
func gzipped(t *testing.T, n int64) []byte {
	t.Helper()
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	spaces := bytes.Repeat([]byte(" "), 1<<20)
	for written := int64(0); written < n; written += int64(len(spaces)) {
		if _, err := zip.Write(spaces); err != nil {
			t.Fatal(err)
		}
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return bomb.Bytes()
}

// No answer costs more memory than its limit calls for, however long it goes on, and however small it came.
func TestEndlessAnswersAreCutOff(t *testing.T) {
	const most = 16 * MaxAnswerBytes // reading, growing, and what the test's server needs
	bomb := gzipped(t, 256<<20)
	for name, handler := range map[string]http.HandlerFunc{
		"for ever": func(w http.ResponseWriter, _ *http.Request) {
			chunk := bytes.Repeat([]byte(`{"a":1},`), 8<<10)
			for {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"64 MiB with its length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "67108864")
			chunk := bytes.Repeat([]byte(" "), 1<<20)
			for range 64 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"256 MiB in 256 KiB of gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, handler)
			var err error
			if bytes := allocated(func() { err = h.Call(t.Context(), struct{}{}, &anything{}) }); bytes > most {
				t.Errorf("%d MiB were allocated, want %d at most", bytes>>20, most>>20)
			}
			wantError(t, err, TooLarge, "10485760 bytes allowed")
		})
	}
}

// No hook holds a call for longer than its timeout.
func TestHooksThatDoNotComeToAnEnd(t *testing.T) {
	flush := func(w http.ResponseWriter, text string) {
		_, _ = io.WriteString(w, text)
		_ = http.NewResponseController(w).Flush()
	}
	for name, handler := range map[string]http.HandlerFunc{
		"a whole answer that goes on": func(w http.ResponseWriter, r *http.Request) {
			flush(w, `{"attachments": []}`)
			<-r.Context().Done()
		},
		"a byte at a time": func(w http.ResponseWriter, r *http.Request) {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for r.Context().Err() == nil {
				flush(w, " ")
				<-tick.C
			}
		},
		"status 500 that goes on": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			flush(w, "wait")
			<-r.Context().Done()
		},
		"more to come": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				w.WriteHeader(http.StatusEarlyHints)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				handler(w, r)
			}, shortTimeout)
			began := time.Now()
			if err := h.Call(t.Context(), struct{}{}, &anything{}); err == nil {
				t.Error("no error")
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// An HTTP/2 server that sends GOAWAY after each answer costs a connection each, and no call.
func TestGoAway(t *testing.T) {
	var calls atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("called by %s", r.Proto)
		}
		calls.Add(1)
		w.Header().Set("Connection", "close") // the HTTP/2 server makes GOAWAY of it
		_, _ = io.WriteString(w, "{}")
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	h := newWebhook(&Webhook{URL: server.URL})
	defer h.Close()
	h.client.Transport.(*http.Transport).TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig
	for range 5 {
		if err := h.Call(t.Context(), struct{}{}, &anything{}); err != nil {
			t.Error(err)
		}
	}
	if calls.Load() != 5 {
		t.Errorf("%d calls, want 5", calls.Load())
	}
}

// JSON that only looks like an answer.
func TestHostileJSON(t *testing.T) {
	for name, body := range map[string]string{
		"a million lists":        `{"a":` + strings.Repeat("[", 1_000_000),
		"a million objects":      strings.Repeat(`{"a":`, 1_000_000),
		"not a number":           `{"a": NaN}`,
		"infinity":               `{"a": 1e999}`,
		"a NUL":                  "{\"a\": \"\x00\"}",
		"a comment":              `{"a": 1 /* one */}`,
		"bytes in front":         "\xef\xbb\xbf{}",
		"a name that has no end": `{"` + strings.Repeat("a", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, serve(t, say(body)).Call(context.Background(), struct{}{}, &anything{}), BadAnswer, "not usable")
		})
	}
}
