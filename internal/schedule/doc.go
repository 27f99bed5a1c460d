// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package schedule decides when a schedule starts its runs, in one term of its shard: a
// [Machine] is told what time it is and what has happened, and says what is to be done.
// The package shard carries that out, with timers and goroutines; the simulator carries
// out the very same without either.
//
// A [Cron] says when a schedule has its ticks. A tick is claimed by an entry in the ledger
// of the shard's Lease, which only the holder of the shard writes, and only as long as it
// is that; the [Record] is what that ledger says.
//
// # Invariants
//
//   - A tick is started only after its claim is known to be on record, written in this very
//     term. No machine claims a tick that is not after the last claim it knows of. Since
//     whoever holds the shard later begins with what the last entry said, or with a last
//     word that was given after all runs had ended, no tick is claimed twice and started.
//   - A claim is in the machine's own record only once it was entered, and its run starts
//     in that very step. So with [AtMostOnce] the last word at a hand-over has no claim of
//     which nothing was started, and nothing is lost with it.
//   - With [AtLeastOnce] a tick whose claim may have been on record, be it for a moment, is
//     unfinished until a run of it has ended by itself, or was replaced. What is unfinished
//     as a term begins is started before anything that is newer.
//   - Each tick is decided once: claimed, or passed over, which is counted with its reason.
//     Only if a clock was set back may one that was passed over come again.
//   - A step takes a bounded time however far the clock has jumped, and the ledger is always
//     below 4 KiB.
//
// Nothing here reads a clock, starts a goroutine or takes a lock: whoever owns a value
// calls it from one goroutine at a time.
//
// # Tests
//
// Transcripts in testdata, which read as a description of what happens; tables of what
// cron expressions mean where clocks are changed, against a model that looks at every
// minute; random histories with crashes at every boundary of an effect, entries whose
// outcome is unknown, hand-overs and clocks that jump. A test breaks the machine's rules
// one by one and demands that these histories notice.
package schedule
