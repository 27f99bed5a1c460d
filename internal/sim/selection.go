// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Selection is what is kept of a history: some of its faults, and the objects
// or not. The zero value keeps neither. It means the same only with the same
// seed, and only as long as histories draw the same from their sources of
// chance: see [ParseSelection].
type Selection struct {
	// Objects tells whether the shards keep their objects, if they had any.
	Objects bool

	strikeNames map[strikeName]bool
}

// strikeName tells the faults of a seed apart: a source of chance, and the
// number of the fault among those that it draws.
type strikeName struct{ source, nth uint32 }

func (s Strike) name() strikeName { return strikeName{s.source, s.nth} }

// selectStrikes keeps these faults.
func selectStrikes(objects bool, strikes []Strike) *Selection {
	s := &Selection{Objects: objects, strikeNames: make(map[strikeName]bool, len(strikes))}
	for _, one := range strikes {
		s.strikeNames[one.name()] = true
	}
	return s
}

// strikes tells whether a fault is kept; no selection keeps everything.
func (s *Selection) strikes(fault Strike) bool { return s == nil || s.strikeNames[fault.name()] }

func (s *Selection) objects() bool { return s == nil || s.Objects }

const (
	selectObjects = "objects"
	selectNone    = "none"
)

// String is what [ParseSelection] reads: "objects,1.4,3.17", sorted; "none" if
// nothing is kept.
func (s *Selection) String() string {
	var parts []string
	if s.Objects {
		parts = append(parts, selectObjects)
	}
	kept := make([]strikeName, 0, len(s.strikeNames))
	for name := range s.strikeNames {
		kept = append(kept, name)
	}
	slices.SortFunc(kept, func(a, b strikeName) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.nth, b.nth))
	})
	for _, name := range kept {
		parts = append(parts, fmt.Sprintf("%d.%d", name.source, name.nth))
	}
	if len(parts) == 0 {
		return selectNone
	}
	return strings.Join(parts, ",")
}

// ParseSelection reads what is kept of a history: "objects", and SOURCE.NUMBER
// for each fault, with commas between them, or "none". A fault that the history
// never draws is no error: what was kept may have come to pass only before a bug
// was fixed.
func ParseSelection(text string) (Selection, error) {
	s := Selection{strikeNames: map[strikeName]bool{}}
	if text == selectNone {
		return s, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		if part == selectObjects {
			s.Objects = true
			continue
		}
		source, nth, _ := strings.Cut(part, ".")
		a, errSource := strconv.ParseUint(source, 10, 32)
		b, errNth := strconv.ParseUint(nth, 10, 32)
		if errSource != nil || errNth != nil {
			return Selection{}, fmt.Errorf("%q names no fault: write %s, %s, or faults as the minimiser prints them, such as 1.4,3.17",
				part, selectNone, selectObjects)
		}
		s.strikeNames[strikeName{uint32(a), uint32(b)}] = true
	}
	return s, nil
}
