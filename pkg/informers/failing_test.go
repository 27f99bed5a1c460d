// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"
)

func TestForbiddenTypeRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"))
		api.refuse(widgets, forbidden(widgets))
		set := newSet(t, api, Options{})
		informer, seen := set.Watch(widgets), &recorder{}
		addHandler(t, informer, seen)
		start(t, t.Context(), set)

		time.Sleep(10 * time.Minute)
		wantPhase(t, informer, Failing)
		if err := informer.State().Err; !apierrors.IsForbidden(err) {
			t.Fatalf("State().Err = %v, want the API server's refusal", err)
		}
		if informer.Synced() {
			t.Fatal("synced without a list")
		}
		if n := api.count("list widgets"); n > 40 {
			t.Fatalf("%d lists in 10 minutes: there is no back-off", n)
		}

		api.refuse(widgets, nil)
		within(t, time.Minute, informer)
		wantPhase(t, informer, Synced)
		wantEvents(t, seen, "add ns/a")
	})
}

func TestWatchThatFailsLaterKeepsTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"))
		set := newSet(t, api, Options{})
		informer, seen := set.Watch(widgets), &recorder{}
		addHandler(t, informer, seen)
		start(t, t.Context(), set)
		within(t, time.Second, informer)
		wantEvents(t, seen, "add ns/a")

		api.refuse(widgets, forbidden(widgets))
		time.Sleep(refusedPatience + 3*maxOutagePause/2 + reflectorDelay) // the fake's watches do not resume: it has to be listed anew
		wantPhase(t, informer, Failing)
		if !informer.Synced() || len(informer.Keys()) != 1 {
			t.Fatal("the cache was given up because the watch fails")
		}
		api.create(t, widgets, object(widgets, "ns", "b"))
		api.delete(t, widgets, object(widgets, "ns", "a"))
		api.refuse(widgets, nil)
		time.Sleep(time.Minute)
		wantPhase(t, informer, Synced)
		wantEvents(t, seen, "add ns/b", "vanish ns/a")
	})
}

func TestDiscoveryOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		outage := errors.New("connection refused")
		api.setOutage(outage)
		set := newSet(t, api, Options{})
		informer := set.Watch(widgets)
		start(t, t.Context(), set)
		time.Sleep(time.Minute)
		wantPhase(t, informer, Failing)
		if err := informer.State().Err; !errors.Is(err, outage) || errors.Is(err, ErrNotServed) {
			t.Fatalf("State().Err = %v, want the outage and not ErrNotServed", err)
		}
		api.setOutage(nil)
		within(t, 3*time.Second, informer)
	})
}

func TestNotFoundDuringDiscoveryOutageIsNoDeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.create(t, widgets, object(widgets, "ns", "a"))
		set := newSet(t, api, Options{})
		informer, seen := set.Watch(widgets), &recorder{}
		addHandler(t, informer, seen)
		start(t, t.Context(), set)
		within(t, time.Second, informer)
		wantEvents(t, seen, "add ns/a")

		api.setOutage(errors.New("service unavailable"))
		api.lose(widgets)
		time.Sleep(time.Minute)
		wantPhase(t, informer, Failing)
		wantEvents(t, seen)
	})
}

// The answer about a 404 comes when the informer has recovered long ago.
func TestLateExplanationOfNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		set := newSet(t, api, Options{})
		informer := set.Watch(widgets)
		start(t, t.Context(), set)
		within(t, time.Second, informer)

		api.setSlowness(20 * time.Second)
		time.Sleep(10 * time.Second) // or the watch would have been too short to be resumed at once
		api.lose(widgets)
		time.Sleep(2 * minOutagePause)
		wantPhase(t, informer, Failing)
		api.serve(widgets)
		time.Sleep(5 * time.Second)
		wantPhase(t, informer, Synced)
		time.Sleep(time.Minute)
		wantPhase(t, informer, Synced)
	})
}

func TestLogsAreBounded(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(*apiServer)
		most    int // lines in ten minutes
		want    string
	}{
		{name: "missing", prepare: func(*apiServer) {}, most: 1, want: "Waiting for a type"},
		{name: "forbidden", prepare: func(api *apiServer) {
			api.serve(widgets)
			api.refuse(widgets, forbidden(widgets))
		}, most: 11, want: "A type cannot be watched"},
		{name: "discovery fails", prepare: func(api *apiServer) { api.setOutage(errors.New("outage")) }, most: 11, want: "A type cannot be watched"},
		{name: "in discovery only", prepare: func(api *apiServer) {
			api.serve(widgets)
			api.lose(widgets)
		}, most: 11, want: "A type cannot be watched"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := newAPIServer()
				test.prepare(api)
				ctx, lines := logTo(t.Context())
				set := newSet(t, api, Options{})
				set.Watch(widgets)
				stop := start(t, ctx, set)
				time.Sleep(10 * time.Minute)
				stop()
				if n := len(*lines); n == 0 || n > test.most {
					t.Errorf("%d lines in 10 minutes, want 1 to %d:\n%s", n, test.most, strings.Join(*lines, "\n"))
				}
				for _, line := range *lines {
					if !strings.Contains(line, test.want) || !strings.Contains(line, "example.com/v1 widgets") {
						t.Errorf("line %q, want %q and the type", line, test.want)
					}
				}
			})
		})
	}
}

func TestRecoveryIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := newAPIServer(widgets)
		api.refuse(widgets, forbidden(widgets))
		ctx, lines := logTo(t.Context())
		set := newSet(t, api, Options{})
		set.Watch(widgets)
		stop := start(t, ctx, set)
		time.Sleep(10 * time.Second)
		api.refuse(widgets, nil)
		time.Sleep(10 * time.Minute)
		stop()
		if len(*lines) != 2 || !strings.Contains((*lines)[1], "can be watched again") {
			t.Fatalf("lines:\n%s", strings.Join(*lines, "\n"))
		}
	})
}

// logTo returns a context whose logger adds to lines, at verbosity 0. They may be
// read when nothing logs any more.
func logTo(ctx context.Context) (_ context.Context, lines *[]string) {
	var mu sync.Mutex
	lines = new([]string)
	add := func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		*lines = append(*lines, prefix+args)
	}
	return klog.NewContext(ctx, logr.New(funcr.New(add, funcr.Options{}).GetSink())), lines
}
