// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package lease

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// BootClock returns CLOCK_BOOTTIME: monotonic, and it counts the time that the
// machine was suspended.
func BootClock() Clock { return bootClock{} }

type bootClock struct{}

func (bootClock) Now() Instant {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		// Every Linux since 2.6.39 has it; without a clock nothing is safe.
		panic(fmt.Sprintf("reading CLOCK_BOOTTIME: %v", err))
	}
	return Instant(t.Nano())
}
