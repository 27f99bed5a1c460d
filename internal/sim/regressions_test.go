// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim_test

import (
	"testing"

	"github.com/shardctl/shardctl/internal/sim"
)

// kept are histories that once violated something, as the minimiser left them.
// Most so far are of seeded bugs (cmd/mutants); none was ever released.
// To add one, take seed and selection from the command that it prints, run
//
//	make sim SEED=... SIMFLAGS='-only ...'
//
// once the bug is fixed, and write down what was wrong, and the kinds of faults
// that still strike there. Where a history is worth more than that, set it up by
// hand: as one of the stories, it is the same whatever histories come to draw.
var kept = []struct {
	// bug is what was wrong, once what the history violated for it.
	bug, once string
	seed      uint64
	only      string
	// strikes are the kinds of faults without which it shows nothing.
	strikes []sim.Kind
}{
	{
		bug:  "R8 left out: sessions were ended after the RenewDeadline",
		once: "exclusion: s1 is held at epoch 2 while b holds it at epoch 1",
		seed: 6, only: "objects,1.1,1.5,1.6,6.12,9.3,9.4,9.6,9.8",
		strikes: []sim.Kind{sim.Refused403, sim.ReplyLost, sim.ReplyHeld, sim.Paused, sim.Joined, sim.ClocksApart},
	},
	{
		bug:  "R1 left out: shards were taken without ending the session of their holder",
		once: "take-over: takes g.s1 from a_uid-of-a_main.b1.1 without having ended its session",
		seed: 10, only: "1.7,1.13,3.3",
		strikes: []sim.Kind{sim.Crashed, sim.RequestHeld},
	},
	{
		bug:  "R4 left out in part: a reply extended a session whose time had passed",
		once: "validity: extended although it had passed",
		seed: 1, only: "objects,1.1,5.1,5.3",
		strikes: []sim.Kind{sim.PausedInStep, sim.Directed},
	},
	{
		bug:  "R9 left out: validity was counted from the reply",
		once: "exclusion: s1 is held at epoch 1 while a holds it at epoch 1",
		seed: 13, only: "1.1",
		strikes: []sim.Kind{sim.Directed},
	},
	{
		bug:  "R1 left out in part: a replica wrote over that its session had been ended",
		once: "session: c_uid-of-c_main.b1.1 was ended, and goes on",
		seed: 410, only: "1.1,1.2,1.3,1.4,1.5,9.1,9.2,9.3",
		strikes: []sim.Kind{sim.ClocksApart, sim.Refused409, sim.RequestRepeated, sim.Paused, sim.Joined},
	},
	{
		bug:  "R13 left out: a cancelled write was taken for one that was not carried out",
		once: "drain: the work of epoch 1 is said to have ended while a write of s4-2 awaits its answer",
		seed: 2, only: "objects,1.1,1.2,1.3,1.5,3.2,3.3,2147483657.1",
		strikes: []sim.Kind{sim.RequestHeld, sim.ReplyHeld, sim.Crashed, sim.RestartedInPod, sim.RollingUpdate, sim.ClocksApart},
	},
	{
		bug:  "a ledger was forgotten where its Lease was replaced by another before it was seen to be gone",
		once: "ledger: g.s1 is claimed with \"\", and had the claim of a tick on record",
		seed: 698, only: "1.2,1.3,1.4,1.8,1.10,1.11,1.12,1.17,268435458.1,268435458.2,268435459.1",
		strikes: []sim.Kind{sim.LeaseRestored, sim.Compacted, sim.CutOneWay, sim.KilledAtStep, sim.RestartedInPod},
	},
}

// TestKeptHistories: what was fixed stays fixed. A seed means the same only as
// long as histories draw the same: one of which the faults do not strike any more
// has lost its point, and is found out here.
func TestKeptHistories(t *testing.T) {
	for _, test := range kept {
		t.Run(test.bug, func(t *testing.T) {
			only, err := sim.ParseSelection(test.only)
			if err != nil {
				t.Fatal(err)
			}
			h := sim.NewHistoryOf(test.seed, only)
			if v := h.Run(); v != nil {
				t.Errorf("%s; once: %s\n%s", v, test.once, sim.Command(test.seed, &only))
			}
			for _, kind := range test.strikes {
				if h.World.Checks.Faults[kind] == 0 {
					t.Errorf("histories draw otherwise now: %q does not strike any more in the one of seed %d; seed the bug again and replace it", kind, test.seed)
				}
			}
		})
	}
}
