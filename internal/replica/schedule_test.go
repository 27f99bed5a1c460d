// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package replica

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/shardctl/shardctl/pkg/shard"
)

// tick is a firing of the schedule nightly.
var tick = shard.Firing{
	Key: "nightly/2026-11-21T02:00:00Z", Schedule: "nightly", Scheduled: time.Date(2026, 11, 21, 3, 0, 0, 0, time.FixedZone("CET", 3600)),
	Epoch: 7, Token: 1<<60 + 1, Repeated: true,
}

// scheduleOf makes the schedule of a role that calls a URL.
func scheduleOf(t *testing.T, url string) shard.Schedule {
	t.Helper()
	r := newReloading(t, rolesFile("none", strings.Replace(cronRole, "http://localhost/", url, 1)))
	change, abandon, err := r.workshop.duties(r.force.Roles, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(abandon)
	if len(change.AddSchedules) != 1 {
		t.Fatalf("%d schedules are added, want one", len(change.AddSchedules))
	}
	return change.AddSchedules[0]
}

func TestScheduleTellsItsHookOfTheRun(t *testing.T) {
	var header http.Header
	var body map[string]any
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		text, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(text, &body)
		}
		if err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	if err := scheduleOf(t, server.URL).Run(t.Context(), tick); err != nil {
		t.Fatalf("Run: %v", err)
	}
	if got := header.Get("Idempotency-Key"); got != tick.Key {
		t.Errorf("the idempotency key is %q, want %q", got, tick.Key)
	}
	want := map[string]any{
		"role": "nightly", "key": tick.Key, "scheduledTime": "2026-11-21T02:00:00Z", "epoch": 7.0, "token": "1152921504606846977", "repeated": true,
	}
	for name, value := range want {
		if body[name] != value {
			t.Errorf("%s is %v, want %v", name, body[name], value)
		}
	}
	if len(body) != len(want) {
		t.Errorf("the hook got %v, want %v", body, want)
	}
}

func TestScheduleFailsWithItsHook(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no paper", http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	if err := scheduleOf(t, server.URL).Run(t.Context(), tick); err == nil || !strings.Contains(err.Error(), "no paper") {
		t.Errorf("Run: %v, want what the hook said", err)
	}
}
