// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

func TestWhenIsTheFirstTimeThatShowsIt(t *testing.T) {
	for _, c := range []Clock{Perfect, {Offset: 17, Rate: 801}, {Offset: 1 << 50, Rate: 1333}, {Rate: 1}} {
		for _, i := range []lease.Instant{c.Offset, c.Offset + 1, c.Offset.Add(time.Second), c.Offset.Add(time.Hour)} {
			at := c.When(i)
			if c.At(at) < i || at > 0 && c.At(at-1) >= i {
				t.Errorf("%+v shows %d at %s: %d; and just before: %d", c, i, at, c.At(at), c.At(at-1))
			}
		}
	}
}

// What is due at the same time happens in the order in which it was entered.
func TestAgendaIsInOrder(t *testing.T) {
	type due struct{ at, entered int }
	rng := rand.New(rand.NewPCG(1, 1))
	var a agenda
	var want, got []due
	for i := range 500 {
		d := due{rng.IntN(50), i}
		want = append(want, d)
		a.add(time.Duration(d.at), func() { got = append(got, d) })
	}
	slices.SortStableFunc(want, func(a, b due) int { return a.at - b.at })
	for {
		next, ok := a.next(time.Hour)
		if !ok {
			break
		}
		next.do()
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAgendaLeavesWhatIsLater(t *testing.T) {
	var a agenda
	a.add(2*time.Second, func() {})
	if _, ok := a.next(time.Second); ok {
		t.Error("what is due after two seconds happens in the first")
	}
	if _, ok := a.next(2 * time.Second); !ok {
		t.Error("what is due after two seconds does not happen by then")
	}
}
