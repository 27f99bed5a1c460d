// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// The replica and the guardian talk over a pair of connected sockets. When either end is closed, its process is
// gone, however it ended. They talk gob, because an environment may hold bytes that JSON cannot carry.

// order is what a replica tells the guardian. The instants are those of CLOCK_BOOTTIME, which all processes
// of a machine share.
type order struct {
	// Start is in the first order, and in no other.
	Start *start

	TerminateAt lease.Instant
	KillAt      lease.Instant

	// Stop asks the program to end now.
	Stop bool
}

// start says what to start.
type start struct {
	Path  string
	Args  []string
	Env   []string
	Grace time.Duration
}

// report is what the guardian tells the replica. One field is set.
type report struct {
	// PID is that of the program, which is its process group, too.
	PID int

	// Failed tells why the program could not be started.
	Failed string

	Exit *exit
}

// exit is how the program ended.
type exit struct {
	Code    int
	Signal  string
	Stopped bool // it had been asked to end
}
