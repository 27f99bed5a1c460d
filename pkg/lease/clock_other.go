// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package lease

// BootClock returns the monotonic clock: there is no better one here, so a
// machine that is suspended may go on acting for its last RenewDeadline.
func BootClock() Clock { return MonotonicClock() }
