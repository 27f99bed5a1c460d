// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/internal/dashboard"
	"github.com/shardctl/shardctl/internal/dashboard/scene"
	"github.com/shardctl/shardctl/pkg/lease"
)

// serve serves the dashboard of a made-up group, and returns its address. The server has
// the time limits that servers have.
func serve(t *testing.T, s *scene.Scene) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(dashboardOf(t, s))
	server.Config.ReadTimeout, server.Config.WriteTimeout = 2*time.Second, 2*time.Second
	server.Start()
	t.Cleanup(func() { shut(server) })
	return server
}

// shut closes a server, which would wait for streams that are open, and lets nobody in
// meanwhile.
func shut(server *httptest.Server) {
	_ = server.Listener.Close()
	server.CloseClientConnections()
	server.Close()
}

// dashboardOf is a handler whose dashboard runs until the test is over.
func dashboardOf(t *testing.T, s *scene.Scene) http.Handler {
	t.Helper()
	d, err := dashboard.New(dashboard.Options{
		Group: scene.Group, Namespace: "shardctl-system", Self: "widgets-operator-6d5c9bd4f-mm4hq", Version: "v0.6.0", Leases: s.Leases,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error { return d.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
	})
	return d.Handler()
}

// awaitTold waits until the server has seen the group, and its timeline has so many
// entries.
func awaitTold(t *testing.T, server *httptest.Server, entries int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	events := bufio.NewScanner(response.Body)
	events.Buffer(nil, 1<<20)
	for events.Scan() {
		data, ok := bytes.CutPrefix(events.Bytes(), []byte("data: "))
		if !ok {
			continue
		}
		var m dashboard.Update // what it has is in a snapshot too
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		told := entries == 0
		if n := len(m.Timeline); n > 0 {
			told = m.Timeline[n-1].Seq >= entries
		}
		if told && m.View.State == dashboard.ViewCurrent && (m.Shards != nil || entries > 0) {
			return
		}
	}
	t.Fatalf("the stream ended before %d entries were told: %v", entries, events.Err())
}

// beat has Pods send heartbeats until the test is over or somebody stops them.
func beat(t *testing.T, s *scene.Scene, pods ...string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var beating errgroup.Group
	beating.Go(func() error {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			s.Beat(pods...)
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}
		}
	})
	stop = func() {
		cancel()
		_ = beating.Wait() // it has no error to return
	}
	t.Cleanup(stop)
	return stop
}

// Pods of the made-up group.
var pods = []string{"widgets-operator-6d5c9bd4f-mm4hq", "widgets-operator-6d5c9bd4f-x7k2p", "widgets-operator-6d5c9bd4f-zq8rd"}

// family is a resource type or role, in pieces.
type family struct {
	name    string
	buckets int
}

// someShards are the names of all pieces.
func someShards(families ...family) (names []string) {
	for _, f := range families {
		for i := range f.buckets {
			names = append(names, lease.ShardName(f.name, lease.Bucket{Index: i, Of: f.buckets}))
		}
	}
	return names
}

// loadOf is the annotation of a member's load.
func loadOf(loads map[string]int64) string {
	text := "{"
	for shard, load := range loads {
		if len(text) > 1 {
			text += ","
		}
		text += fmt.Sprintf("%q:%d", shard, load)
	}
	return text + "}"
}
