// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/shardctl/shardctl/pkg/lease"
)

// id is a key of these tests: a name without a namespace.
type id string

func (k id) Parts() (namespace, name string) { return "", string(k) }

// object is one whose UID begins with these digits.
func object(key id, digits string) Object[id] {
	if digits == "" {
		return Object[id]{Key: key}
	}
	return Object[id]{Key: key, UID: types.UID((digits + "00000000")[:8] + "-0000-4000-8000-000000000000")}
}

// keyed are objects of which nothing but the key is known.
func keyed(keys ...id) []Object[id] {
	var all []Object[id]
	for _, key := range keys {
		all = append(all, object(key, ""))
	}
	return all
}

// piece is a bucket by UID.
func piece(index, of int) lease.Bucket { return lease.Bucket{Index: index, Of: of, By: lease.ByUID} }

// noon is when nothing else is said.
var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

var fine = Conditions{Valid: true, Synced: true}

// call is something that is asked of a list, and the answer that it has to give.
type call struct {
	what string
	ask  func(*List[id]) any
	want any
}

// nobody is the term that takes what none takes.
var nobody Term

func begin(t Term, want bool) call {
	return call{"begin " + name(t), func(l *List[id]) any { return l.Begin(t) }, want}
}

func stop(t Term) call {
	return call{"stop " + name(t), func(l *List[id]) any { l.Stop(t); return nil }, nil}
}

// taker asks for whom an object is queued.
func taker(o Object[id], want Term) call {
	return call{"taker of " + string(o.Key) + string(o.UID), func(l *List[id]) any {
		if t, ok := l.Taker(o); ok {
			return t
		}
		return nobody
	}, want}
}

func start(t Term, key id, c Conditions, want Decision) call {
	return startAs(t, object(key, ""), c, want)
}

// startAs says which object the key names in the cache.
func startAs(t Term, o Object[id], c Conditions, want Decision) call {
	return call{"start " + string(o.Key) + " in " + name(t), func(l *List[id]) any { return l.Start(t, o, c) }, want}
}

func finish(t Term, key id, o Outcome, want Decision) call {
	return call{"finish " + string(key) + " in " + name(t), func(l *List[id]) any { return l.Finish(t, key, o) }, want}
}

func idle(t Term, want bool) call {
	return call{"idle " + name(t), func(l *List[id]) any { return l.Idle(t) }, want}
}

func name(t Term) string {
	return "term " + strconv.FormatUint(t.Number, 10) + " of bucket " + strconv.Quote(t.Bucket.String())
}

func TestList(t *testing.T) {
	one, two, a := Term{Number: 1}, Term{Number: 2}, object("a", "")
	for _, tc := range []struct {
		name  string
		calls []call
	}{
		{"without a term nothing is taken", []call{
			taker(a, nobody), start(one, "a", fine, Drop), idle(one, true),
		}},
		{"a term takes keys until it is stopped", []call{
			begin(one, true), taker(a, one), start(one, "a", fine, Reconcile), stop(one), taker(a, nobody), start(one, "b", fine, Drop),
		}},
		{"a key waits past the validity", []call{
			begin(one, true), start(one, "a", Conditions{Synced: true}, Wait), start(one, "a", fine, Reconcile),
		}},
		{"a key waits for the caches", []call{
			begin(one, true), start(one, "a", Conditions{Valid: true}, Wait), start(one, "a", fine, Reconcile),
		}},
		{"a key is reconciled once at a time", []call{
			begin(one, true), start(one, "a", fine, Reconcile), start(one, "a", fine, Wait), start(one, "b", fine, Reconcile),
			finish(one, "a", Succeeded, Forget), start(one, "a", fine, Reconcile),
		}},
		{"a key waits for an older term's reconcile of it", []call{
			begin(one, true), start(one, "a", fine, Reconcile), stop(one), begin(two, true), start(two, "a", fine, Wait),
			finish(one, "a", Interrupted, Drop), start(two, "a", fine, Reconcile),
		}},
		{"a key that failed is tried again", []call{
			begin(one, true), start(one, "a", fine, Reconcile), finish(one, "a", Failed, Retry),
		}},
		{"but not once the term takes no more keys", []call{
			begin(one, true), start(one, "a", fine, Reconcile), stop(one), finish(one, "a", Failed, Drop),
		}},
		{"nor by the term that came next: that has it in its backlog", []call{
			begin(one, true), start(one, "a", fine, Reconcile), begin(two, true), finish(one, "a", Failed, Drop),
		}},
		{"a term is idle when the last reconcile has returned", []call{
			begin(one, true), idle(one, false), start(one, "a", fine, Reconcile), start(one, "b", fine, Reconcile), idle(one, false), stop(one), idle(one, false),
			finish(one, "a", Succeeded, Forget), idle(one, false), finish(one, "b", Interrupted, Drop), idle(one, true),
		}},
		{"each term is idle by itself", []call{
			begin(one, true), start(one, "a", fine, Reconcile), stop(one), begin(two, true), start(two, "b", fine, Reconcile), stop(two),
			finish(two, "b", Succeeded, Forget), idle(two, true), idle(one, false),
		}},
		{"the end of an old term does not stop the next", []call{
			begin(one, true), begin(two, true), stop(one), taker(a, two), idle(one, true), start(one, "a", fine, Drop), start(two, "a", fine, Reconcile),
		}},
		{"a term that begins late, after the next one, takes nothing", []call{
			begin(two, true), begin(one, false), stop(one), taker(a, two), start(one, "a", fine, Drop), start(two, "a", fine, Reconcile), idle(one, true),
		}},
		{"a term that was stopped before it begins takes nothing", []call{
			begin(one, true), start(one, "a", fine, Reconcile), stop(two), begin(two, false), taker(a, nobody), start(two, "b", fine, Drop),
			finish(one, "a", Failed, Drop), idle(one, true), idle(two, true),
		}},
		{"a term does not begin twice", []call{
			begin(one, true), stop(one), begin(one, false), taker(a, nobody),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l List[id]
			for _, c := range tc.calls {
				if got := c.ask(&l); got != c.want {
					t.Fatalf("%s: %v, want %v", c.what, got, c.want)
				}
			}
		})
	}
}

func TestListOfSeveralBuckets(t *testing.T) {
	low, high := Term{Number: 1, Bucket: piece(0, 2)}, Term{Number: 2, Bucket: piece(1, 2)}
	quarter := Term{Number: 3, Bucket: piece(0, 4)} // of a layout that follows
	a, b, again := object("a", "1"), object("b", "9"), object("a", "f")
	for _, tc := range []struct {
		name  string
		calls []call
	}{
		{"each takes its own objects", []call{
			begin(low, true), taker(a, low), taker(b, nobody), begin(high, true), taker(a, low), taker(b, high),
		}},
		{"each ends by itself", []call{
			begin(low, true), begin(high, true), stop(low), taker(a, nobody), taker(b, high), idle(low, true), idle(high, false),
		}},
		{"a key that names an object of another bucket by now is dropped", []call{
			begin(low, true), startAs(low, again, fine, Drop), startAs(low, a, fine, Reconcile),
		}},
		{"a key that names nothing is reconciled for what it named", []call{
			begin(low, true), begin(high, true), start(low, "a", fine, Reconcile), start(high, "b", fine, Reconcile),
		}},
		{"a key that was used again waits for the other bucket's reconcile of it", []call{
			begin(low, true), begin(high, true), startAs(low, a, fine, Reconcile), startAs(high, again, fine, Wait),
			finish(low, "a", Succeeded, Forget), startAs(high, again, fine, Reconcile),
		}},
		{"each is idle by itself", []call{
			begin(low, true), begin(high, true), startAs(low, a, fine, Reconcile), startAs(high, b, fine, Reconcile),
			stop(low), stop(high), finish(high, "b", Succeeded, Forget), idle(high, true), idle(low, false),
		}},
		{"a bucket of the next layout takes the place of those that it shares objects with", []call{
			begin(low, true), begin(high, true), begin(quarter, true), start(low, "a", fine, Drop), taker(a, quarter), taker(object("c", "5"), nobody), taker(b, high),
		}},
		{"and waits for their reconciles", []call{
			begin(low, true), startAs(low, a, fine, Reconcile), stop(low), begin(quarter, true), startAs(quarter, a, fine, Wait), idle(low, false),
			finish(low, "a", Failed, Drop), idle(low, true), startAs(quarter, a, fine, Reconcile),
		}},
		{"a bucket of an old layout that begins late takes nothing", []call{
			begin(quarter, true), begin(low, false), stop(low), taker(a, quarter), begin(high, true),
		}},
		{"one piece takes the place of all", []call{
			begin(low, true), begin(high, true), begin(Term{Number: 3}, true), start(low, "a", fine, Drop), start(high, "b", fine, Drop),
			taker(a, Term{Number: 3}), taker(b, Term{Number: 3}),
		}},
		{"another partition shares objects with all", []call{
			begin(low, true), begin(Term{Number: 3, Bucket: lease.Bucket{Index: 1, Of: 2, By: lease.ByKey}}, true), start(low, "a", fine, Drop),
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l List[id]
			for _, c := range tc.calls {
				if got := c.ask(&l); got != c.want {
					t.Fatalf("%s: %v, want %v", c.what, got, c.want)
				}
			}
		})
	}
}

// Whatever terms begin and stop in whatever order, those that take keys share no
// object, and the newest that is known of an object is the one that may take it.
func TestListNeverTakesAnObjectTwice(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var l List[id]
		heard := map[Term]bool{} // of every term: whether it takes keys, or would
		for number := uint64(1); number <= 40; number++ {
			n := 1 + rng.IntN(9)
			term := Term{Number: number, Bucket: piece(rng.IntN(n), n)}
			if n == 1 {
				term.Bucket = lease.Bucket{}
			}
			if stopped := rng.IntN(4) == 0; stopped {
				l.Stop(term)
				heard[term] = false
			} else if heard[term] = true; !l.Begin(term) {
				t.Fatalf("seed %d: %s does not begin", seed, name(term))
			}
			o := object("o", fmt.Sprintf("%08x", rng.Uint32()))
			var newest Term
			for term := range heard {
				if o.In(term.Bucket) && term.Number > newest.Number {
					newest = term
				}
			}
			taker, ok := l.Taker(o)
			if ok && taker != newest {
				t.Fatalf("seed %d: %s is taken for %s, want %s", seed, o.UID, name(taker), name(newest))
			}
			if !ok && newest != nobody && heard[newest] && l.takes(newest) {
				t.Fatalf("seed %d: %s is taken for nobody, want %s", seed, o.UID, name(newest))
			}
			for other := range heard {
				if o.In(other.Bucket) && other != taker && l.takes(other) {
					t.Fatalf("seed %d: %s is taken for %s, and %s takes keys", seed, o.UID, name(taker), name(other))
				}
			}
		}
		if len(l.parts) > lease.MaxBuckets {
			t.Errorf("seed %d: %d parts", seed, len(l.parts))
		}
	}
}

func TestBacklogIsAllThatIsThereAndWhatHasGone(t *testing.T) {
	for _, tc := range []struct {
		name     string
		departed []id
		after    time.Duration
		cached   []id
		want     []id
	}{
		{"nothing", nil, 0, nil, nil},
		{"the cache", nil, 0, []id{"a", "b"}, []id{"a", "b"}},
		{"what has gone comes last", []id{"y", "x"}, 0, []id{"a"}, []id{"a", "y", "x"}},
		{"what has come back is there once", []id{"x", "a"}, 0, []id{"a", "b"}, []id{"a", "b", "x"}},
		{"what has gone twice too", []id{"x", "y", "x"}, 0, nil, []id{"x", "y"}},
		{"as long as it is remembered", []id{"x"}, rememberDepartures, nil, []id{"x"}},
		{"and no longer", []id{"x"}, rememberDepartures + 1, []id{"a"}, []id{"a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l List[id]
			for _, o := range keyed(tc.departed...) {
				l.Departed(noon, o)
			}
			if got := l.Backlog(Term{Number: 1}, noon.Add(tc.after), keyed(tc.cached...)); !slices.Equal(got, tc.want) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestBacklogOfABucketIsWhatIsAndWasInIt(t *testing.T) {
	low, high := Term{Number: 1, Bucket: piece(0, 2)}, Term{Number: 2, Bucket: piece(1, 2)}
	for _, tc := range []struct {
		name     string
		departed []Object[id]
		cached   []Object[id]
		low      []id
		high     []id
	}{
		{"what is there", nil, []Object[id]{object("a", "0"), object("b", "8"), object("c", "7fffffff")}, []id{"a", "c"}, []id{"b"}},
		{"what has gone", []Object[id]{object("a", "0"), object("b", "8")}, nil, []id{"a"}, []id{"b"}},
		{"two that had one name", []Object[id]{object("a", "0"), object("a", "8")}, nil, []id{"a"}, []id{"a"}},
		{"what has gone and is there anew is that of the new one", []Object[id]{object("a", "0")}, []Object[id]{object("a", "8")}, nil, []id{"a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var l List[id]
			for _, o := range tc.departed {
				l.Departed(noon, o)
			}
			if got := l.Backlog(low, noon, tc.cached); !slices.Equal(got, tc.low) {
				t.Errorf("of the lower half: %v, want %v", got, tc.low)
			}
			if got := l.Backlog(high, noon, tc.cached); !slices.Equal(got, tc.high) {
				t.Errorf("of the upper half: %v, want %v", got, tc.high)
			}
		})
	}
}

func TestAKeyThatIsNotThereStandsForWhatItNamedLast(t *testing.T) {
	var l List[id]
	if got, want := l.Remembered("a"), object("a", ""); got != want {
		t.Errorf("before anything departed: %v, want %v", got, want)
	}
	for _, digits := range []string{"1", "9"} {
		l.Departed(noon, object("a", digits))
	}
	l.Departed(noon, object("b", "5"))
	if got, want := l.Remembered("a"), object("a", "9"); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// An object is in one bucket, and the same for everybody who asks, also where
// nothing but its key is known.
func TestAnObjectIsInOneBucket(t *testing.T) {
	for _, by := range lease.Partitions() {
		for _, n := range []int{1, 2, 3, 7, 64, lease.MaxBuckets} {
			for _, o := range append(keyed("a", "b", "c"), object("a", "0"), object("b", "ffffffff"), object("c", "55555555")) {
				in := 0
				for i := range n {
					if o.In(lease.Bucket{Index: i, Of: n, By: by}) {
						in++
					}
				}
				if in != 1 {
					t.Errorf("%v is in %d of %d buckets by %s, want 1", o, in, n, by)
				}
			}
		}
	}
}

func TestUnknownObjectsAreSpreadOverTheBuckets(t *testing.T) {
	const n = 4
	got := map[int]bool{}
	for i := range 100 {
		for index := range n {
			if object(id(fmt.Sprintf("name-%d", i)), "").In(piece(index, n)) {
				got[index] = true
			}
		}
	}
	if len(got) != n {
		t.Errorf("100 unknown keys are in %d of %d buckets", len(got), n)
	}
}

func TestDeparturesAreBounded(t *testing.T) {
	var l List[id]
	for i := range 2 * maxDepartures {
		l.Departed(noon, object(id(strconv.Itoa(i)), ""))
	}
	got := l.Backlog(Term{Number: 1}, noon, nil)
	if len(got) != maxDepartures || got[0] != id(strconv.Itoa(maxDepartures)) {
		t.Errorf("remembered %d from %s on, want the newest %d", len(got), got[0], maxDepartures)
	}
}
