// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"
)

// workers are the replicas that work for each shard.
type workers map[string]map[string]bool

// workersAfter are those that there are when everything in a history has happened.
func workersAfter(h history) workers {
	w := workers{}
	for _, e := range h {
		w.apply(e)
	}
	return w
}

func (w workers) apply(e event) {
	switch e.Kind {
	case started:
		if w[e.Shard] == nil {
			w[e.Shard] = map[string]bool{}
		}
		w[e.Shard][e.replica] = true
	case stopped:
		delete(w[e.Shard], e.replica)
	case killed: // with all that it worked for
		for _, of := range w {
			delete(of, e.replica)
		}
	}
}

// missingSuccessor is an error unless somebody else works for every shard, and the former holder for none.
func (w workers) missingSuccessor(shards int, holder string) error {
	still, succeeded := 0, 0
	for _, of := range w {
		switch {
		case of[holder]:
			still++
		case len(of) > 0:
			succeeded++
		}
	}
	if still > 0 || succeeded < shards {
		return fmt.Errorf("%s works for %d still, others for %d of %d", holder, still, succeeded, shards)
	}
	return nil
}

// tally is for how long a shard had no worker, and for how long several at once.
type tally struct {
	nobody, several time.Duration
}

// tallies are those of every shard that was ever worked for, by its name, from an instant on until the last event.
func (h history) tallies(since time.Time) map[string]tally {
	w, of, last := workers{}, map[string]tally{}, since
	for _, e := range h {
		if e.Kind == started {
			of[e.Shard] = tally{}
		}
	}
	for _, e := range h {
		span := max(e.At.Sub(last), 0)
		for shard, t := range of {
			of[shard] = t.plus(len(w[shard]), span)
		}
		last = last.Add(span)
		w.apply(e)
	}
	return of
}

// plus counts a span in which there were so many workers.
func (t tally) plus(workers int, span time.Duration) tally {
	switch {
	case workers == 0:
		t.nobody += span
	case workers > 1:
		t.several += span
	}
	return t
}
