// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package dashboard

import "time"

// movesWindow is how long a move counts.
const movesWindow = 15 * time.Minute

// moves counts those of the last movesWindow by minutes, so that however many
// there are it takes the same space. A move counts for up to a minute longer.
type moves struct {
	counts [int(movesWindow/time.Minute) + 1]int
	newest int64 // the minute, since 1970, that was counted last
}

// count adds n moves at a time and returns how many there were in the window.
func (m *moves) count(n int, at time.Time) (total int) {
	minute := at.Unix() / 60
	length := int64(len(m.counts))
	for passed := max(m.newest+1, minute-length+1); passed <= minute; passed++ {
		m.counts[passed%length] = 0
	}
	m.newest = max(m.newest, minute) // a clock that is set back loses no moves
	m.counts[m.newest%length] += n
	for _, count := range m.counts {
		total += count
	}
	return total
}
