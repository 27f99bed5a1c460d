// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"slices"
	"strconv"
)

// attempts are renewals of one Lease that were sent, and when, oldest first. A
// renewal carries its number into the record, so that whoever finds it there
// knows when it was sent, whatever has become of the reply (R9).
type attempts []attempt

type attempt struct {
	number string
	at     Instant
	rv     uint64 // at which it was committed, as far as a reply has told
}

// maxAttempts bounds the attempts remembered. A watch that lags by more of them
// confirms nothing: that is 51 s at the shortest RenewInterval.
const maxAttempts = 512

// nextAttempt is a number that no request of this process has carried before.
func (e *Election) nextAttempt() string {
	e.attempts++
	return strconv.FormatUint(e.attempts, 10)
}

func (a *attempts) add(number string, at Instant) {
	if len(*a) == maxAttempts {
		*a = slices.Delete(*a, 0, 1)
	}
	*a = append(*a, attempt{number: number, at: at})
}

// find tells when the attempt of that number was sent.
func (a attempts) find(number string) (at Instant, ok bool) {
	i := a.index(number)
	if i < 0 {
		return 0, false
	}
	return a[i].at, true
}

// forget drops an attempt that was found in the record, and those before it,
// which have been overwritten.
func (a *attempts) forget(number string) { *a = slices.Delete(*a, 0, a.index(number)+1) }

func (a attempts) index(number string) int {
	return slices.IndexFunc(a, func(sent attempt) bool { return sent.number == number })
}

// newest is when the last of them was sent; zero if there is none.
func (a attempts) newest() Instant {
	if len(a) == 0 {
		return 0
	}
	return a[len(a)-1].at
}

// committed notes what the reply to an attempt tells: when the watch gets there.
func (a attempts) committed(number string, r Replied) {
	if i := a.index(number); i >= 0 && r.Outcome == OK && r.Lease != nil {
		a[i].rv = parseRV(r.Lease.ResourceVersion)
	}
}

// upTo is the number of the newest attempt that was committed at rv or before,
// as far as replies have told; empty if there is none. While the watch lags by
// more than a RenewInterval the record known is always newer than what the watch
// has shown, which confirms that attempt all the same.
func (a attempts) upTo(rv uint64) string {
	for _, sent := range slices.Backward(a) {
		if sent.rv != 0 && sent.rv <= rv {
			return sent.number
		}
	}
	return ""
}
