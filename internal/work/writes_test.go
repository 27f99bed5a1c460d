// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

import (
	"fmt"
	"maps"
	"testing"
)

func TestWritesAreSettledWhenNoneCanBeCarriedOutAnyMore(t *testing.T) {
	var w Writes
	for i, step := range []struct {
		do      func() bool
		want    bool
		settled bool
	}{
		{w.Send, true, false},
		{w.Send, true, false},
		{func() bool { w.Answered(); return true }, true, false},
		{func() bool { w.Close(); return true }, true, false},
		{w.Send, false, false},
		{func() bool { w.Answered(); return true }, true, true},
		{w.Send, false, true},
	} {
		if got := step.do(); got != step.want || w.Settled() != step.settled {
			t.Errorf("step %d: %t, settled %t; want %t, settled %t", i, got, w.Settled(), step.want, step.settled)
		}
	}
}

func TestWritesRememberTheNewestOfEachType(t *testing.T) {
	var w Writes
	w.Wrote("widgets", "9")
	w.Wrote("gadgets", "3")
	w.Wrote("widgets", "10")
	w.Wrote("widgets", "8")
	w.Wrote("gadgets", "no number")
	got := w.Newest()
	if want := map[string]string{"widgets": "10", "gadgets": "3"}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	got["widgets"] = "mine"
	if w.Newest()["widgets"] != "10" {
		t.Error("what was handed out changes what is remembered")
	}
}

func TestWritesRememberABoundedNumberOfTypes(t *testing.T) {
	var w Writes
	for i := range 2 * maxWrote {
		w.Wrote(fmt.Sprint("type-", i), "1")
	}
	w.Wrote("type-0", "2")
	if got := w.Newest(); len(got) != maxWrote || got["type-0"] != "2" {
		t.Errorf("%d types, the first at %s; want %d, and 2", len(got), got["type-0"], maxWrote)
	}
}
