// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// noted lets the work be done by a controller, and returns the bursts that are noted.
func noted(t *testing.T, w *work, controller func(ctx context.Context)) []burst {
	t.Helper()
	var to bytes.Buffer
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- w.noteLoop(ctx, &to) }()
	controller(ctx)
	time.Sleep(2 * burstOver) // virtual
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	var all []burst
	for line := range bytes.Lines(to.Bytes()) {
		var one burst
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		if one.Reconciles > 0 {
			all = append(all, one)
		}
	}
	return all
}

// atOnce reconciles so many items at the same time.
func atOnce(ctx context.Context, w *work, items int) {
	var workers sync.WaitGroup
	for i := range items {
		workers.Go(func() { _ = w.reconcile(ctx, itemName(i)) })
	}
	workers.Wait()
}

func TestBurstsEndWithAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(20*time.Millisecond, 0, false)
		all := noted(t, w, func(ctx context.Context) {
			atOnce(ctx, w, 3)
			time.Sleep(burstOver / 2)
			atOnce(ctx, w, 1)
			time.Sleep(2 * burstOver)
			atOnce(ctx, w, 2)
		})
		if len(all) != 2 || all[0].Reconciles != 4 || all[1].Reconciles != 2 {
			t.Fatalf("noted is %v, want a burst of 4 and one of 2", all)
		}
		if took := all[0].Last.Sub(all[0].First); took != 40*time.Millisecond+burstOver/2 {
			t.Errorf("the first took %s, from the beginning of a reconcile to the end of another", took)
		}
		if items := all[0].Items.len(); items != 3 || all[0].again() != 100./3 {
			t.Errorf("the first was of %d items, and of %.1f %% of them again; want 3, one of them twice", items, all[0].again())
		}
		if !all[1].First.After(all[0].Last.Add(burstOver)) {
			t.Errorf("the second began at %s, not after the pause that the first ended with", all[1].First)
		}
	})
}

func TestCallsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(20*time.Millisecond, 4, false)
		all := noted(t, w, func(ctx context.Context) { atOnce(ctx, w, 10) })
		if len(all) != 1 || all[0].Last.Sub(all[0].First) != 60*time.Millisecond {
			t.Errorf("10 calls of 20 ms, 4 at a time, are noted as %v, want 60 ms", all)
		}
	})
}

func TestCallEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the term is over")
	cancel(why)
	w := newWork(time.Hour, 1, false)
	if err := w.reconcile(ctx, itemName(0)); !errors.Is(err, why) {
		t.Errorf("it ends with %v, want %v", err, why)
	}
	w.calls <- struct{}{}
	if err := w.reconcile(ctx, itemName(1)); !errors.Is(err, why) {
		t.Errorf("it ends with %v, want %v", err, why)
	}
}

func TestFirstReconcileOfEachItemIsNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(time.Millisecond, 0, true)
		began := time.Now()
		all := noted(t, w, func(ctx context.Context) {
			atOnce(ctx, w, 2)
			atOnce(ctx, w, 1)
		})
		if len(all) != 1 || len(all[0].Began) != 2 || !all[0].Began[itemName(0)].Equal(began) {
			t.Errorf("noted is %v, want two items since %s", all, began)
		}
	})
}

func TestBurstsOfSeveralReplicasAreOne(t *testing.T) {
	at := func(seconds int64) time.Time { return time.Unix(seconds, 0) }
	one := together([]burst{
		{},
		{Reconciles: 2, First: at(10), Last: at(20), Items: itemSet{0b101}, Began: map[string]time.Time{"a": at(10)}},
		{Reconciles: 3, First: at(5), Last: at(15), Items: itemSet{0b100, 0b11}, Began: map[string]time.Time{"a": at(12), "b": at(13)}},
		{},
	})
	if one.Reconciles != 5 || !one.First.Equal(at(5)) || !one.Last.Equal(at(20)) || one.rate() != 5./15 {
		t.Errorf("together they are %v", one)
	}
	if n := one.Items.len(); n != 4 || one.again() != 25 {
		t.Errorf("together they have reconciled %d items, %.0f %% of them again; want 4, one of them twice", n, one.again())
	}
	if len(one.Began) != 2 || !one.Began["a"].Equal(at(10)) {
		t.Errorf("together their items began at %v", one.Began)
	}
}

func TestBurstsSinceAMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bursts")
	m := &member{name: "a", bursts: path}
	since := func(moment time.Time) int {
		t.Helper()
		if err := m.read(); err != nil {
			t.Fatal(err)
		}
		return m.since(moment).Reconciles
	}
	if none := since(time.Time{}); none != 0 {
		t.Errorf("before there is a file there are %d reconciles", none)
	}
	line := func(reconciles, second int64) string {
		text, err := json.Marshal(burst{Reconciles: int(reconciles), First: time.Unix(second, 0), Last: time.Unix(second+1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		return string(text) + "\n"
	}
	if err := os.WriteFile(path, []byte(line(1, 10)+line(2, 20)+line(4, 30)+`{"reconciles":8,"fir`), 0o600); err != nil {
		t.Fatal(err)
	}
	if some := since(time.Unix(15, 0)); some != 6 {
		t.Errorf("of whole lines since the moment there are %d reconciles, want 6", some)
	}
	if err := os.WriteFile(path, []byte(line(1, 10)+line(2, 20)+line(4, 30)+line(8, 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	if some := since(time.Unix(15, 0)); some != 14 {
		t.Errorf("with the line that was being written there are %d reconciles, want 14", some)
	}
}

func TestReplicaIsIdleBetweenBursts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, m := newWork(0, 0, false), &member{name: "a", bursts: filepath.Join(t.TempDir(), "bursts")}
		file, err := os.Create(m.bursts)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- w.noteLoop(ctx, file) }()
		expect := func(when string, want bool) {
			t.Helper()
			if err := m.read(); err != nil || m.idle() != want {
				t.Errorf("%s: idle: %t, %v; want %t", when, m.idle(), err, want)
			}
		}
		time.Sleep(burstOver)
		expect("before the first reconcile", false)
		for range 2 {
			atOnce(ctx, w, 1)
			time.Sleep(2 * burstTick)
			expect("in the midst of a burst", false)
			time.Sleep(burstOver)
			expect("after it", true)
		}
		stop()
		if err := errors.Join(<-ended, file.Close()); err != nil {
			t.Fatal(err)
		}
	})
}
