// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import "testing"

func TestSelectionIsWrittenAsItIsRead(t *testing.T) {
	for _, text := range []string{"none", "objects", "1.4", "objects,1.4,1.17,3.2,2147483649.1"} {
		s, err := ParseSelection(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := s.String(); got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
}

func TestSelectionThatCannotBeRead(t *testing.T) {
	for _, text := range []string{"", "1", "1.", "1.2.3", "1.4,", "objects none", "-1.2", "4294967296.1"} {
		if s, err := ParseSelection(text); err == nil {
			t.Errorf("%q is read as %s", text, &s)
		}
	}
}

// Everything that strikes, kept, is the same history.
func TestSelectionOfAllIsTheWholeHistory(t *testing.T) {
	whole := NewHistory(3)
	whole.Run()
	kept := NewHistoryOf(3, *selectStrikes(whole.user != nil, whole.World.struck))
	kept.Run()
	if kept.World.Checks.Faults != whole.World.Checks.Faults || kept.World.now != whole.World.now {
		t.Errorf("faults %v until %s, want %v until %s",
			kept.World.Checks.Faults, kept.World.now, whole.World.Checks.Faults, whole.World.now)
	}
}

func TestNothingStrikesWhereNothingIsKept(t *testing.T) {
	h := NewHistoryOf(3, Selection{})
	if v := h.Run(); v != nil {
		t.Fatal(v)
	}
	if len(h.World.struck) > 0 || h.user != nil {
		t.Errorf("%d faults, objects: %t", len(h.World.struck), h.user != nil)
	}
}
