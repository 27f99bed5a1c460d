// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package endpoint

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Somebody who connects and says nothing does not keep a kubelet out.
func TestReviewSilentConnectionsKeepNoProbeOut(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Options{Listener: l, Gatherer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	for range maxConnections {
		c, err := net.Dial("tcp", e.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	time.Sleep(200 * time.Millisecond)
	client := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + e.Addr() + "/livez")
	if err != nil {
		t.Fatalf("a probe gets no answer: %v", err)
	}
	resp.Body.Close()
}

// Whoever invents tokens does not keep out those that the API server has known all along.
func TestReviewInventedTokensKeepNoScraperOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &authority{rights: map[string]bool{"prometheus /metrics": true}}
		h := guarded(a)
		scrape := func(token string) int {
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w.Code
		}
		if code := scrape("prometheus:x"); code != http.StatusOK {
			t.Fatalf("%d", code)
		}
		refused := 0
		for i := range 600 { // a scrape every 15 s, and 100 invented tokens a second, for a minute and more
			for j := range 25 {
				scrape(fmt.Sprintf("invented-%d-%d", i, j))
			}
			if i%60 == 59 && scrape("prometheus:x") != http.StatusOK {
				refused++
			}
			time.Sleep(250 * time.Millisecond)
		}
		if refused > 0 {
			t.Errorf("%d of 10 scrapes were refused", refused)
		}
	})
}
