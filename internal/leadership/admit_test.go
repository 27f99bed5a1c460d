// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/shardctl/shardctl/internal/endpoint"
)

func TestWebPagesAreRefused(t *testing.T) {
	f := newFixture(t, leaderRole())
	for _, tc := range []struct {
		method, host string
		headers      map[string]string
		refused      bool
	}{
		{"GET", "localhost", nil, false},
		{"GET", "localhost:4040", nil, false},
		{"GET", "LOCALHOST.:4040", nil, false},
		{"GET", "127.0.0.1:4040", nil, false},
		{"GET", "127.8.9.10", nil, false},
		{"GET", "[::1]:4040", nil, false},
		{"GET", "[::1]", nil, false},
		{"GET", "", nil, false},
		{"POST", "", map[string]string{"Origin": "https://example.com"}, true},
		{"GET", "example.com", nil, true},
		{"GET", "example.com:4040", nil, true},
		{"GET", "127.0.0.1.example.com", nil, true},
		{"GET", "localhost.example.com", nil, true},
		{"GET", "10.0.0.1:4040", nil, true},
		{"GET", "0.0.0.0:4040", nil, true},
		{"POST", "example.com", nil, true},
		{"POST", "localhost:4040", nil, false},
		{"POST", "localhost:4040", map[string]string{"Sec-Fetch-Site": "none"}, false},
		{"POST", "localhost:4040", map[string]string{"Sec-Fetch-Site": "same-origin"}, false},
		{"POST", "localhost:4040", map[string]string{"Origin": "http://localhost:4040"}, false},
		{"POST", "localhost:4040", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
		{"POST", "localhost:4040", map[string]string{"Sec-Fetch-Site": "same-site"}, true},
		{"POST", "localhost:4040", map[string]string{"Origin": "https://example.com"}, true},
		{"POST", "localhost:4040", map[string]string{"Origin": "null"}, true},
		{"POST", "localhost:4040", map[string]string{"Origin": "http://localhost:8080"}, true},
		{"GET", "localhost:4040", map[string]string{"Origin": "https://example.com"}, false}, // the page cannot read it
	} {
		target := "/roles/leader/stopped"
		if tc.method == "GET" {
			target = "/roles/leader"
		}
		r := httptest.NewRequest(tc.method, target, nil)
		r.Host = tc.host
		for name, value := range tc.headers {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		f.endpoint.Handler().ServeHTTP(w, r)
		if (w.Code == http.StatusForbidden) != tc.refused || (w.Code == http.StatusOK) == tc.refused {
			t.Errorf("%s with host %q and %v: %d %s", tc.method, tc.host, tc.headers, w.Code, w.Body)
		}
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("pages may read the answer to %s", tc.method)
		}
	}
}

// everywhere is a listener that others than this machine would reach.
type everywhere struct{ net.Listener }

func (everywhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 4040} }

func TestMoreThanThisMachineNeedsAToken(t *testing.T) {
	o := Options{Backend: newFakeGroup(), Roles: func() []Role { return []Role{leaderRole()} }, Listener: everywhere{}}
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "spec.leadership.authorization") {
		t.Fatalf("without authorization: %v", err)
	}
	var err error
	if o.Reviewer, err = endpoint.NewReviewer(&rest.Config{Host: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	e, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"GET", "POST"} {
		r := httptest.NewRequest(method, "http://10.0.0.1:4040/roles/leader/stopped", nil)
		w := httptest.NewRecorder()
		e.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusUnauthorized || decode[errorMessage](t, w.Body.String()).Error == "" {
			t.Errorf("%s without a token: %d %s", method, w.Code, w.Body)
		}
	}
}

func TestOptionsThatAreMissing(t *testing.T) {
	_, err := New(Options{})
	for _, want := range []string{"backend: is missing", "roles: is missing", "listener: is missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestCertificateThatCannotBeUsed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, err = New(Options{
		Backend: newFakeGroup(), Roles: func() []Role { return nil }, Listener: listener, TLS: endpoint.Files{Cert: "/nowhere", Key: "/nowhere"},
	})
	if err == nil || !strings.Contains(err.Error(), "spec.leadership.tls.certFile") {
		t.Errorf("got %v", err)
	}
}
