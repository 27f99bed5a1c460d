// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"slices"
	"strconv"
	"testing"
	"time"
)

// noon is when nothing else is said.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

var fine = Conditions{Valid: true, Synced: true}

// call is something that is asked of a list, and the answer that it has to give.
type call struct {
	what string
	ask  func(*List[string]) any
	want any
}

func begin(t Term, want bool) call {
	return call{"begin " + name(t), func(l *List[string]) any { return l.Begin(t) }, want}
}

func stop(t Term) call {
	return call{"stop " + name(t), func(l *List[string]) any { l.Stop(t); return nil }, nil}
}

func taking(want bool) call {
	return call{"taking", func(l *List[string]) any { return l.Taking() }, want}
}

func start(t Term, key string, c Conditions, want Decision) call {
	return call{"start " + key + " in " + name(t), func(l *List[string]) any { return l.Start(t, key, c) }, want}
}

func finish(t Term, key string, o Outcome, want Decision) call {
	return call{"finish " + key + " in " + name(t), func(l *List[string]) any { return l.Finish(t, key, o) }, want}
}

func idle(t Term, want bool) call {
	return call{"idle " + name(t), func(l *List[string]) any { return l.Idle(t) }, want}
}

func name(t Term) string { return "term " + strconv.FormatUint(uint64(t), 10) }

func TestList(t *testing.T) {
	for _, tc := range []struct {
		name  string
		calls []call
	}{
		{"without a term nothing is taken", []call{
			taking(false), start(1, "a", fine, Drop), idle(1, true),
		}},
		{"a term takes keys until it is stopped", []call{
			begin(1, true), taking(true), start(1, "a", fine, Reconcile), stop(1), taking(false), start(1, "b", fine, Drop),
		}},
		{"a key waits past the validity", []call{
			begin(1, true), start(1, "a", Conditions{Synced: true}, Wait), start(1, "a", fine, Reconcile),
		}},
		{"a key waits for the caches", []call{
			begin(1, true), start(1, "a", Conditions{Valid: true}, Wait), start(1, "a", fine, Reconcile),
		}},
		{"a key is reconciled once at a time", []call{
			begin(1, true), start(1, "a", fine, Reconcile), start(1, "a", fine, Wait), start(1, "b", fine, Reconcile),
			finish(1, "a", Succeeded, Forget), start(1, "a", fine, Reconcile),
		}},
		{"a key waits for an older term's reconcile of it", []call{
			begin(1, true), start(1, "a", fine, Reconcile), stop(1), begin(2, true), start(2, "a", fine, Wait),
			finish(1, "a", Interrupted, Drop), start(2, "a", fine, Reconcile),
		}},
		{"a key that failed is tried again", []call{
			begin(1, true), start(1, "a", fine, Reconcile), finish(1, "a", Failed, Retry),
		}},
		{"but not once the term takes no more keys", []call{
			begin(1, true), start(1, "a", fine, Reconcile), stop(1), finish(1, "a", Failed, Drop),
		}},
		{"nor by the term that came next: that has it in its backlog", []call{
			begin(1, true), start(1, "a", fine, Reconcile), begin(2, true), finish(1, "a", Failed, Drop),
		}},
		{"a term is idle when the last reconcile has returned", []call{
			begin(1, true), idle(1, false), start(1, "a", fine, Reconcile), start(1, "b", fine, Reconcile), idle(1, false), stop(1), idle(1, false),
			finish(1, "a", Succeeded, Forget), idle(1, false), finish(1, "b", Interrupted, Drop), idle(1, true),
		}},
		{"each term is idle by itself", []call{
			begin(1, true), start(1, "a", fine, Reconcile), stop(1), begin(2, true), start(2, "b", fine, Reconcile), stop(2),
			finish(2, "b", Succeeded, Forget), idle(2, true), idle(1, false),
		}},
		{"the end of an old term does not stop the next", []call{
			begin(1, true), begin(2, true), stop(1), taking(true), idle(1, true), start(1, "a", fine, Drop), start(2, "a", fine, Reconcile),
		}},
		{"a term that begins late, after the next one, takes nothing", []call{
			begin(2, true), begin(1, false), stop(1), taking(true), start(1, "a", fine, Drop), start(2, "a", fine, Reconcile), idle(1, true),
		}},
		{"a term that was stopped before it begins takes nothing", []call{
			begin(1, true), start(1, "a", fine, Reconcile), stop(2), begin(2, false), taking(false), start(2, "b", fine, Drop),
			finish(1, "a", Failed, Drop), idle(1, true), idle(2, true),
		}},
		{"a term does not begin twice", []call{
			begin(1, true), stop(1), begin(1, false), taking(false),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l List[string]
			for _, c := range tc.calls {
				if got := c.ask(&l); got != c.want {
					t.Fatalf("%s: %v, want %v", c.what, got, c.want)
				}
			}
		})
	}
}

func TestBacklogIsAllThatIsThereAndWhatHasGone(t *testing.T) {
	for _, tc := range []struct {
		name     string
		departed []string
		after    time.Duration
		cached   []string
		want     []string
	}{
		{"nothing", nil, 0, nil, nil},
		{"the cache", nil, 0, []string{"a", "b"}, []string{"a", "b"}},
		{"what has gone comes last", []string{"y", "x"}, 0, []string{"a"}, []string{"a", "y", "x"}},
		{"what has come back is there once", []string{"x", "a"}, 0, []string{"a", "b"}, []string{"a", "b", "x"}},
		{"what has gone twice too", []string{"x", "y", "x"}, 0, nil, []string{"x", "y"}},
		{"as long as it is remembered", []string{"x"}, rememberDepartures, nil, []string{"x"}},
		{"and no longer", []string{"x"}, rememberDepartures + 1, []string{"a"}, []string{"a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l List[string]
			for _, key := range tc.departed {
				l.Departed(noon, key)
			}
			l.Begin(1)
			if got := l.Backlog(noon.Add(tc.after), tc.cached); !slices.Equal(got, tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestDeparturesAreBounded(t *testing.T) {
	var l List[int]
	for i := range 2 * maxDepartures {
		l.Departed(noon, i)
	}
	got := l.Backlog(noon, nil)
	if len(got) != maxDepartures || got[0] != maxDepartures {
		t.Errorf("remembered %d from %d on, want the newest %d", len(got), got[0], maxDepartures)
	}
}
