// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// Summary says what a number of histories came to; histories in which nothing
// happens prove nothing.
type Summary struct {
	Histories  int
	Violations int
	// Virtual is how much time was simulated.
	Virtual time.Duration
	Granted map[lease.Cause]int
	Faults  [kinds]int
	// Work is what was done to objects, Ledger what was done to ledgers.
	Work   WorkCounts
	Ledger LedgerCounts
	// Schedules is what has become of ticks.
	Schedules ScheduleCounts
	// Beyond counts histories with clocks outside the bound; Overlapped those
	// of them in which two held one shard, Overlaps how often.
	Beyond, Overlapped, Overlaps int
	// Unheld is the longest that a shard stayed without a holder after the
	// repair, as a share of what is allowed.
	Unheld float64
	// Ticks and Requests are the most of one replica in a second.
	Ticks, Requests int
}

// Add takes in a history that was run.
func (s *Summary) Add(h *History) {
	checks := &h.World.Checks
	s.Histories++
	if checks.Violation != nil {
		s.Violations++
	}
	s.Virtual += h.World.now
	s.grant(h.Granted)
	for kind, n := range checks.Faults {
		s.Faults[kind] += n
	}
	if checks.beyond {
		s.Beyond++
		s.Overlapped += min(1, checks.Overlaps)
		s.Overlaps += checks.Overlaps
	}
	s.Work.add(checks.Work)
	s.Ledger.add(checks.Ledger)
	if h.World.schedules != nil {
		s.Schedules.add(h.World.schedules.Counts)
	}
	s.Unheld = max(s.Unheld, h.Unheld)
	for _, r := range h.World.Replicas {
		s.Ticks, s.Requests = max(s.Ticks, r.Rates.MostTicks), max(s.Requests, r.Rates.MostRequests)
	}
}

// Merge takes in what another worker came to.
func (s *Summary) Merge(other *Summary) {
	s.Histories += other.Histories
	s.Violations += other.Violations
	s.Virtual += other.Virtual
	s.grant(other.Granted)
	for kind, n := range other.Faults {
		s.Faults[kind] += n
	}
	s.Beyond += other.Beyond
	s.Overlapped += other.Overlapped
	s.Overlaps += other.Overlaps
	s.Work.add(other.Work)
	s.Ledger.add(other.Ledger)
	s.Schedules.add(other.Schedules)
	s.Unheld = max(s.Unheld, other.Unheld)
	s.Ticks, s.Requests = max(s.Ticks, other.Ticks), max(s.Requests, other.Requests)
}

func (s *Summary) grant(granted map[lease.Cause]int) {
	if s.Granted == nil {
		s.Granted = map[lease.Cause]int{}
	}
	for cause, n := range granted {
		s.Granted[cause] += n
	}
}

// Print writes it as a table.
func (s *Summary) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "faults\t")
	kinds := slices.SortedFunc(slices.Values(allKinds()), func(a, b Kind) int {
		return cmp.Or(cmp.Compare(s.Faults[b], s.Faults[a]), cmp.Compare(a, b))
	})
	for _, kind := range kinds {
		fmt.Fprintf(table, "%d\t %s\n", s.Faults[kind], kind)
	}
	fmt.Fprintln(table, "terms gained\t")
	for _, cause := range slices.Sorted(maps.Keys(s.Granted)) {
		fmt.Fprintf(table, "%d\t %s\n", s.Granted[cause], cmp.Or(string(cause), "unknown"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "work: %s\n", s.Work)
	fmt.Fprintf(out, "ledgers: %s\n", s.Ledger)
	s.Schedules.print(out)
	fmt.Fprintf(out, "outside the clock bound: %d histories, %d overlaps in %d of them\n", s.Beyond, s.Overlaps, s.Overlapped)
	fmt.Fprintf(out, "held again after the repair: within %.0f %% of what is allowed; at most %d ticks and %d requests of one replica in a second\n",
		100*s.Unheld, s.Ticks, s.Requests)
	return nil
}

func allKinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// enoughToOverlap is how many histories meet two holders outside the clock bound
// for certain: about one in 2,000 does.
const enoughToOverlap = 20_000

// Missing says what no history has met, of what most groups of histories do.
func (s *Summary) Missing() []string {
	var missing []string
	for _, cause := range []lease.Cause{lease.CauseVacant, lease.CauseTransfer, lease.CauseTakeOver, lease.CauseReclaim} {
		if s.Granted[cause] == 0 {
			missing = append(missing, "a term gained by "+string(cause))
		}
	}
	for kind, n := range s.Faults {
		if n == 0 {
			missing = append(missing, Kind(kind).String())
		}
	}
	if s.Histories >= enoughToOverlap && s.Overlaps == 0 {
		missing = append(missing, "two holders outside the clock bound")
	}
	return slices.Concat(missing, s.Work.missing(), s.Ledger.missing(), s.Schedules.missing())
}
