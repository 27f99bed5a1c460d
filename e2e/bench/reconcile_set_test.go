// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"testing"
)

func TestItemSetCountsEachItemOnce(t *testing.T) {
	var s itemSet
	for _, i := range []int{manyItems - 1, 0, 7, 8, 0} {
		s.add(i)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var read itemSet
	if err := json.Unmarshal(text, &read); err != nil || read.len() != 4 {
		t.Errorf("of 4 items, written and read, there are %d, %v", read.len(), err)
	}
	other := itemSet{0b110}
	if a, b := s.and(other).len(), other.and(s).len(); a != 6 || b != 6 || s.len() != 4 || other.len() != 2 {
		t.Errorf("4 items and 2 others are %d, and the other way round %d; now there are %d and %d", a, b, s.len(), other.len())
	}
}

func TestItemNumber(t *testing.T) {
	for _, want := range []int{0, 42, manyItems - 1} {
		if i, err := itemNumber(itemName(want)); err != nil || i != want {
			t.Errorf("%s is item %d, %v", itemName(want), i, err)
		}
	}
	for _, name := range []string{"", "item-", "item-x", "item--1", "00001"} {
		if i, err := itemNumber(name); err == nil {
			t.Errorf("%q is item %d, want an error", name, i)
		}
	}
}
