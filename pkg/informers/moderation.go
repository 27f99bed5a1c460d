// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package informers

import "time"

// complaintInterval is the least time between two log lines about failing
// requests of one type.
const complaintInterval = time.Minute

// moderation says which failures and recoveries of a type are worth a log line.
type moderation struct {
	last time.Time // of the last failure that was logged
	open bool      // its end was not logged yet
}

func (m *moderation) logFailure(now time.Time) bool {
	if !m.last.IsZero() && now.Sub(m.last) < complaintInterval {
		return false
	}
	m.last, m.open = now, true
	return true
}

func (m *moderation) logRecovery() bool {
	wasOpen := m.open
	m.open = false
	return wasOpen
}
