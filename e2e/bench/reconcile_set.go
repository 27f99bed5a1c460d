// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

const itemPrefix = "item-"

func itemName(i int) string { return fmt.Sprintf("%s%05d", itemPrefix, i) }

// itemNumber is the other way round.
func itemNumber(name string) (int, error) {
	digits, ok := strings.CutPrefix(name, itemPrefix)
	i, err := strconv.Atoi(digits)
	if !ok || err != nil || i < 0 {
		return 0, fmt.Errorf("%q is not the name of an item", name)
	}
	return i, nil
}

// itemSet has a bit for each item, by number: small enough to be noted with every burst, and cheap enough to be kept by every
// reconcile of a controller that does nothing else.
type itemSet []byte

func (s *itemSet) add(i int) {
	if missing := i/8 + 1 - len(*s); missing > 0 {
		*s = append(*s, make([]byte, missing)...)
	}
	(*s)[i/8] |= 1 << (i % 8)
}

// and is the items of both.
func (s itemSet) and(other itemSet) itemSet {
	if len(s) < len(other) {
		s, other = other, s
	}
	both := slices.Clone(s)
	for i, b := range other {
		both[i] |= b
	}
	return both
}

func (s itemSet) len() int {
	n := 0
	for _, b := range s {
		n += bits.OnesCount8(b)
	}
	return n
}
