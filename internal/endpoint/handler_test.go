// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// page stands for the dashboard.
func page() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the page") })
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the stream") })
	return mux
}

// counted is a registry with one metric.
func counted() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "shardctl_some", Help: "Some."}))
	return r
}

func TestRoutes(t *testing.T) {
	all := newHandler(Options{Gatherer: counted(), Dashboard: page(), Pprof: true})
	bare := newHandler(Options{Gatherer: counted()})
	for _, tc := range []struct {
		handler      http.Handler
		method, path string
		code         int
		has          string
	}{
		{all, "GET", "/metrics", 200, "shardctl_some 0"},
		{all, "HEAD", "/metrics", 200, ""},
		{all, "POST", "/metrics", 405, ""},
		{all, "GET", "/metrics/more", 404, ""},
		{all, "GET", "/livez", 200, "ok"},
		{all, "DELETE", "/livez", 405, ""},
		{all, "PUT", "/readyz/caches", 405, ""},
		{all, "GET", "/livez/a/b", 404, ""},
		{all, "GET", "/", 200, "the page"},
		{all, "POST", "/", 405, ""},
		{all, "GET", "/events", 200, "the stream"},
		{all, "GET", "/favicon.ico", 404, ""},
		{all, "GET", "/debug/pprof/", 200, "goroutine"},
		{all, "GET", "/debug/pprof/cmdline", 200, "endpoint.test"},
		{all, "GET", "/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{all, "GET", "/debug/pprof/nothing", 404, ""},
		{all, "POST", "/debug/pprof/symbol", 405, ""},
		{bare, "GET", "/metrics", 200, "shardctl_some 0"},
		{bare, "GET", "/", 404, ""},
		{bare, "GET", "/events", 404, ""},
		{bare, "GET", "/debug/pprof/", 404, ""},
		{bare, "GET", "/debug/pprof/heap", 404, ""},
		{bare, "POST", "/livez", 405, ""},
	} {
		got := get(tc.handler, tc.method, tc.path)
		if got.Code != tc.code || !strings.Contains(got.Body.String(), tc.has) {
			t.Errorf("%s %s: %d %q, want %d with %q", tc.method, tc.path, got.Code, got.Body, tc.code, tc.has)
		}
		if allow := got.Header().Get("Allow"); tc.code == 405 && allow != "GET, HEAD" {
			t.Errorf("%s %s: allowed is %q", tc.method, tc.path, allow)
		}
		if h := got.Header(); h.Get("X-Content-Type-Options") != "nosniff" || !strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s %s: the headers are %v", tc.method, tc.path, h)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	listen := func(address string) net.Listener {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	loopback, everywhere := listen("127.0.0.1:0"), listen(":0")
	reviewer := newReviewer(nil, nil)
	for _, tc := range []struct {
		name    string
		options Options
		want    string // empty: none
	}{
		{"the least", Options{Listener: everywhere, Gatherer: counted()}, ""},
		{"no listener", Options{Gatherer: counted()}, "endpoint: a listener and a gatherer are needed"},
		{"no gatherer", Options{Listener: everywhere}, "endpoint: a listener and a gatherer are needed"},
		{"what cannot be protected", Options{Listener: everywhere, Gatherer: counted(), Protect: []Part{"livez"}}, `there is no part "livez" to protect`},
		{"nobody to ask", Options{Listener: everywhere, Gatherer: counted(), Protect: []Part{Metrics}}, "a reviewer is needed"},
		{"profiles for everybody", Options{Listener: everywhere, Gatherer: counted(), Pprof: true, Protect: []Part{Metrics}, Reviewer: reviewer}, "add pprof to spec.http.authorization.protect"},
		{"protected profiles", Options{Listener: everywhere, Gatherer: counted(), Pprof: true, Protect: []Part{Pprof}, Reviewer: reviewer}, ""},
		{"profiles for this machine", Options{Listener: loopback, Gatherer: counted(), Pprof: true}, ""},
		{"no certificate", Options{Listener: everywhere, Gatherer: counted(), TLS: Files{"/nothing", "/nothing"}}, "spec.http.tls.certFile: open /nothing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := New(tc.options)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("New: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("New: %v, want an error with %q", err, tc.want)
			}
		})
	}
}
