// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package leadership

import (
	"time"

	"golang.org/x/sys/unix"
)

// uptimeNow is CLOCK_BOOTTIME, as in /proc/uptime: the same for all containers of a Pod.
func uptimeNow() (uptime time.Duration, known bool) {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0, false
	}
	return time.Duration(t.Nano()), true
}
