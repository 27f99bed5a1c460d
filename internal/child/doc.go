// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package child runs a program while this replica holds a shard: the work of an exec role.
//
// # Invariants
//
// The program, and every process that descends from it, is dead before the validity of the term ends, also if
// the replica is stopped, hangs, or is killed at any moment. Run returns only when they are all dead and
// reaped, so a shard that is handed over has no program left here. docs/exec.md states this in full, with what
// it rests on and what it cannot cover.
//
// # How
//
// Between the replica and the program stands a guardian, a small process of its own (Guard) for each run of
// the program:
//
//   - The replica sends it two instants of CLOCK_BOOTTIME, anew whenever the term is renewed: when the program
//     gets SIGTERM, and when all of its processes get SIGKILL (limits.go). A replica that sends nothing lets them come.
//   - The end of the connection is the end of the replica: SIGKILL at once.
//   - The guardian is the reaper of all that descends from it, so that what has left the process group, by
//     setsid and a double fork, comes back to it. It ends when wait4 knows of no descendant any more.
//   - The program gets SIGKILL from the kernel if the guardian ends. The replica then kills the process group.
//   - The replica does the guardian's part if that is late (sentence.go is shared).
//
// The guardian never writes to the program's pipes and never waits for the replica: no output, however
// large, and no reader, however slow, defers a kill.
//
// # Files
//
// Pure, and tested by tables: sentence.go, limits.go, backoff.go, record.go, lines.go, tail.go. The replica's side:
// child.go, attempt_linux.go, output_linux.go, ledger.go. The guardian's: guardian_linux.go (a life), watch_linux.go
// (what it does when), alarm_linux.go. Both: protocol.go, processes_linux.go. For process 1: orphans_linux.go.
//
// # Tests
//
// With real processes: the test binary, started again, is replica, guardian and program. The programs
// tell of themselves by connections that break when they die and by a lock file that two of them
// cannot have.
package child
