// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

func TestHTTPGoesByTheStatus(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Path[1:])
		w.WriteHeader(status)
	})
	for status, reason := range map[int]string{
		200: "", 204: "", 299: "", 300: "", 304: "", 399: "", 400: ": status 400", 404: ": status 404", 500: ": status 500", 503: ": status 503",
	} {
		url := s.URL + "/" + strconv.Itoa(status)
		if reason != "" {
			reason = "GET " + url + reason
		}
		want(t, made(t, Config{HTTP: &HTTP{URL: url}})(t.Context()), reason)
	}
}

func TestHTTPFollowsRedirectsOnTheHostOnly(t *testing.T) {
	var elsewhere atomic.Bool
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Store(true) })
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(other.URL, "http://"))
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Path[1:])
		switch {
		case err != nil:
			http.Redirect(w, r, "http://localhost:"+port, http.StatusFound)
		case n > 0:
			http.Redirect(w, r, "/"+strconv.Itoa(n-1), http.StatusFound)
		default:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	for _, tc := range []struct{ path, reason string }{
		{"/0", ": status 503"},
		{"/1", ": status 503"},
		{"/10", ": status 503"},
		{"/11", ": more than 10 redirects"},
		{"/elsewhere", ""},
	} {
		if tc.reason != "" {
			tc.reason = "GET " + s.URL + tc.path + tc.reason
		}
		want(t, made(t, Config{HTTP: &HTTP{URL: s.URL + tc.path}})(t.Context()), tc.reason)
	}
	if elsewhere.Load() {
		t.Error("a redirect to another host was followed")
	}
}

func TestHTTPHasAConnectionOfItsOwnEachTime(t *testing.T) {
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	p := made(t, Config{HTTP: &HTTP{URL: s.URL}})
	for range 3 {
		want(t, p(t.Context()), "")
	}
	if n := opened.Load(); n != 3 {
		t.Errorf("three probes have opened %d connections, want one each", n)
	}
}

// A proxy of the environment would not be asked for a loopback address anyhow; so the host is
// another.
func TestHTTPAsksNoProxy(t *testing.T) {
	var asked atomic.Bool
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { asked.Store(true) })
	t.Setenv("HTTP_PROXY", proxy.URL)
	err := made(t, Config{HTTP: &HTTP{URL: "http://ready.invalid/"}})(within(t, 10*time.Second))
	if err == nil || asked.Load() {
		t.Errorf("got %v, and the proxy was asked: %v", err, asked.Load())
	}
}

func TestHTTPReadsNoAnswerToItsEnd(t *testing.T) {
	over := make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-over
	})
	t.Cleanup(func() { close(over) })
	want(t, made(t, Config{HTTP: &HTTP{URL: s.URL}})(within(t, time.Minute)), "")
}

func TestHTTPEndsWithItsContext(t *testing.T) {
	over := make(chan struct{})
	s := serve(t, func(http.ResponseWriter, *http.Request) { <-over })
	t.Cleanup(func() { close(over) })
	want(t, made(t, Config{HTTP: &HTTP{URL: s.URL}})(within(t, 20*time.Millisecond)), "GET "+s.URL+": no answer in time")
}

func TestHTTPTellsNoPassword(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "secret" {
			t.Errorf("the server got the password %q", password)
		}
		w.WriteHeader(http.StatusTeapot)
	})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("me", "secret")
	want(t, made(t, Config{HTTP: &HTTP{URL: u.String()}})(t.Context()), "GET http://me:xxxxx@"+u.Host+": status 418")
}

func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	p := made(t, Config{TCP: &TCP{Address: address}})
	want(t, p(t.Context()), "")
	l.Close()
	want(t, p(t.Context()), "connect to "+address+": connect: connection refused")
}
