// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

// newTestReplica notes into a file of the test.
func newTestReplica(t *testing.T) (r *replica, noted func() []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "events")
	n, err := openNotes(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.file.Close(); err != nil {
			t.Error(err)
		}
	})
	r = &replica{notes: n, working: map[string]bool{}, idle: true}
	return r, func() []string {
		events, err := readEvents(path, "a")
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range events {
			all = append(all, e.Kind+" "+e.Shard)
		}
		return all
	}
}

func TestWorkGoesOnAsLongAsItTakesToStop(t *testing.T) {
	for _, idle := range []bool{false, true} {
		for _, takes := range []time.Duration{0, 3 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				r, noted := newTestReplica(t)
				r.idle, r.stopTakes = idle, takes
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				began := time.Now()
				r.work(ctx, "1")
				// A tick that is due at the same instant may come first.
				if took := time.Since(began); took < time.Minute+takes || took > time.Minute+takes+workInterval {
					t.Errorf("idle %t: it took %s, want %s", idle, took, time.Minute+takes)
				}
				if got := noted(); !slices.Equal(got, []string{"started 1", "stopped 1"}) {
					t.Errorf("idle %t: %v was noted", idle, got)
				}
			})
		}
	}
}

// When the process ends, so does all work, whatever that is about to do.
func TestWorkIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, noted := newTestReplica(t)
		ctx, cancel := context.WithCancel(t.Context())
		go r.work(ctx, "1")
		synctest.Wait()
		if !r.works("1") || r.works("2") {
			t.Error("shard 1 alone is worked for, but that is not what it says")
		}
		r.cutOff()
		r.work(ctx, "2") // it is too late: this returns at once
		cancel()
		synctest.Wait()
		if got := noted(); !slices.Equal(got, []string{"started 1", "stopped 1"}) {
			t.Errorf("%v was noted, want a beginning and an end of shard 1", got)
		}
	})
}

func TestEveryContenderIsAnElector(t *testing.T) {
	for _, who := range slowStop.contenders() {
		elector, ok := strings.CutPrefix(who.args()[0], "--elector=")
		if !ok || electors()[elector] == nil || !slices.Contains(electorNames(), elector) {
			t.Errorf("%s runs with %v, which is none of %v", who, who.args(), electorNames())
		}
	}
}

func TestAnUnknownElectorIsRefused(t *testing.T) {
	err := runReplica(t.Context(), []string{"--elector=coin"})
	if err == nil || !strings.Contains(err.Error(), `"coin" is not known: use one of shardctl, client-go`) {
		t.Errorf("got %v", err)
	}
}

// client-go releases a Lease when its context ends, whatever the work does; with the work stopped first, only after that.
func TestElectorsReleaseBeforeOrAfterTheWork(t *testing.T) {
	for _, workFirst := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r, noted := newTestReplica(t)
			r.stopTakes, r.stopWorkFirst = 3*time.Second, workFirst
			client := fake.NewClientset()
			held := func() bool {
				lease, err := client.CoordinationV1().Leases("").Get(t.Context(), "elector-1", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				return *lease.Spec.HolderIdentity != ""
			}
			ctx, terminate := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- r.runElector(ctx, client, "a", "1") }()
			time.Sleep(10 * time.Second)
			terminate()
			time.Sleep(time.Second)
			if held() != workFirst || !r.works("1") {
				t.Errorf("work first %t: while the work is about to stop, the Lease is held: %t", workFirst, held())
			}
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if got := noted(); held() || !slices.Equal(got, []string{"started 1", "stopped 1"}) {
				t.Errorf("work first %t: in the end the Lease is held: %t; %v was noted", workFirst, held(), got)
			}
		})
	}
}
