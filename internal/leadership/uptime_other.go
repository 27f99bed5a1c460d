// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package leadership

import "time"

// uptimeNow: programs could not read the clock that Go has here.
func uptimeNow() (uptime time.Duration, known bool) { return 0, false }
