// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"
)

func well() error { return nil }

func ill() error { return errors.Join(errors.New("it hangs"), errors.New("for long")) }

// get asks a handler.
func get(h http.Handler, method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

func TestHealthAnswersLikeKubeAPIServer(t *testing.T) {
	h := newHandler(Options{
		Gatherer: prometheus.NewRegistry(),
		Live:     []Check{{"loop", well}, {"renewal", ill}, {"drain", well}},
		Ready:    []Check{{"session", well}, {"caches", well}},
	})
	for path, want := range map[string]struct {
		code int
		text string
	}{
		"/readyz":                {200, "ok"},
		"/readyz?verbose":        {200, "[+]session ok\n[+]caches ok\nreadyz check passed\n"},
		"/readyz/caches":         {200, "ok"},
		"/livez":                 {503, "[+]loop ok\n[-]renewal failed: it hangs; for long\n[+]drain ok\nlivez check failed\n"},
		"/livez?verbose":         {503, "[+]loop ok\n[-]renewal failed: it hangs; for long\n[+]drain ok\nlivez check failed\n"},
		"/livez/renewal":         {503, "[-]renewal failed: it hangs; for long\nlivez check failed\n"},
		"/livez/loop":            {200, "ok"},
		"/livez/other":           {404, "there is no check of this name: use one of loop, renewal, drain\n"},
		"/livez?exclude=renewal": {200, "ok"},
		"/livez?exclude=renewal&exclude=loop&verbose": {200, "[+]loop excluded: ok\n[+]renewal excluded: ok\n[+]drain ok\nlivez check passed\n"},
		"/livez?exclude=loop":                         {503, "[+]loop excluded: ok\n[-]renewal failed: it hangs; for long\n[+]drain ok\nlivez check failed\n"},
		"/readyz?exclude=other&verbose": {
			200, "[+]session ok\n[+]caches ok\nwarn: some health checks cannot be excluded: no matches for [\"other\"]\nreadyz check passed\n",
		},
	} {
		t.Run(path, func(t *testing.T) {
			got := get(h, http.MethodGet, path)
			if got.Code != want.code || got.Body.String() != want.text {
				t.Errorf("%d %q, want %d %q", got.Code, got.Body, want.code, want.text)
			}
			if kind := got.Header().Get("Content-Type"); kind != "text/plain; charset=utf-8" {
				t.Errorf("it is of the type %q", kind)
			}
			if head := get(h, http.MethodHead, path); head.Code != want.code {
				t.Errorf("HEAD answers %d, want %d", head.Code, want.code)
			}
		})
	}
}

// A kubelet says that a probe has failed, and not why.
func TestHealthLogsWhenOtherChecksFail(t *testing.T) {
	var log strings.Builder
	ctx := klog.NewContext(context.Background(), funcr.New(func(_, args string) { log.WriteString(args + "\n") }, funcr.Options{}))
	failing := false
	h := Health("livez", []Check{{"loop", func() error {
		if failing {
			return errors.New("it hangs")
		}
		return nil
	}}, {"drain", well}})
	probe := func(query string) {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, "/livez"+query, nil))
	}
	probe("")
	failing = true
	probe("?exclude=loop") // by hand: what it does not ask for is not well for that
	if log.Len() > 0 {
		t.Errorf("it logged %q", &log)
	}
	probe("")
	probe("")
	failing = false
	probe("")
	probe("")
	want := `"level"=0 "msg"="Health checks fail" "endpoint"="livez" "failing"=["loop"] "checks"=["[-]loop failed: it hangs" "[+]drain ok"]
"level"=0 "msg"="Health checks pass again" "endpoint"="livez"
`
	if log.String() != want {
		t.Errorf("it logged\n%swant\n%s", &log, want)
	}
}
