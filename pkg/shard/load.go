// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// How load is measured. What the others see of it decides who holds what, so it
// must neither follow every burst nor go to and fro.
const (
	// loadInterval is how often the busy time of the workers is looked at.
	loadInterval = 10 * time.Second
	// loadHalfLife is after how long half of what is known of a load is what was
	// measured since, and for how long a published value stays at least.
	loadHalfLife = time.Minute
	// loadSettling is how many looks at a new term do not count: every object is
	// reconciled at promotion, which says nothing of what the shard costs later. If
	// it counted, a shard that moves would look busy, and so be moved on.
	loadSettling = 3
	// loadStep is what is published is a multiple of, in thousandths of a worker.
	loadStep = 50
	// loadShare is by which part of the published value the measured one has to be
	// off for it to be replaced.
	loadShare = 0.25
	// maxLoads and maxLoadBytes bound what is published: the former by how many
	// shards a group is made for, the latter below the 64 KiB of an annotation's
	// value above which the others read none of it. Shards of common names reach the
	// first; those of names longer than 50 characters the second.
	maxLoads     = lease.MaxShards
	maxLoadBytes = 60 << 10
)

// load is how busy one shard keeps its workers, in thousandths of a worker. It is
// an exponentially weighted mean of what is measured.
type load struct {
	term uint64 // number of the tenure that is measured
	// mean is of what was measured so far, and weight how much of a full mean that
	// is: without it the first minutes would count as ones of which the beginning
	// was idle.
	mean, weight float64
	settling     int

	published int64
	stands    time.Duration // for how long it has been published
	told      bool          // it has to be told even if it is 0
}

// begin goes on to another term. Carried is what the shard came with, from the
// holder before; 0 is as good as not known, for a shard that nobody gave away in
// order comes with nothing. Then what was measured here in an earlier term goes on.
func (l *load) begin(term uint64, carried int64) {
	l.term, l.settling = term, loadSettling
	if carried > 0 {
		l.mean, l.weight = float64(carried), 1
		l.published, l.stands, l.told = carried, 0, true
	}
}

// add takes in for how long workers were busy in an interval.
func (l *load) add(busy, interval time.Duration) {
	l.stands += interval
	if l.settling > 0 {
		l.settling--
		return
	}
	kept := math.Exp2(-float64(interval) / float64(loadHalfLife))
	l.weight = kept*l.weight + 1 - kept
	l.mean += (1 - kept) / l.weight * (1000*float64(busy)/float64(interval) - l.mean)
	// Less than half a mean is not worth moving anything for.
	if l.weight >= 0.5 && l.stands >= loadHalfLife && l.outdated() {
		l.published, l.stands, l.told = l.rounded(), 0, true
	}
}

// outdated tells whether what is published is too far from what is measured. A
// shard that has become idle is below any share.
func (l *load) outdated() bool {
	off := math.Abs(l.mean - float64(l.published))
	return off > loadStep && off > loadShare*float64(l.published) || l.published > 0 && l.rounded() == 0
}

func (l *load) rounded() int64 { return int64(math.Round(l.mean/loadStep)) * loadStep }

// loads are those of all shards that this process has held, so that one that
// comes back without a load has that of its last term here.
type loads map[string]*load

// heldShard is a shard with a term whose work has not ended.
type heldShard struct {
	name    string
	term    uint64
	carried int64
}

// look takes in for how long the workers of each shard were busy in the last
// interval, and returns what is to be published of those that are held. An idle
// shard is left out, unless a load of it is known elsewhere. So are the lightest
// where there are too many: they count as what they came with.
func (all loads) look(held []heldShard, busy map[string]time.Duration, interval time.Duration) map[string]int64 {
	published := map[string]int64{}
	for _, h := range held {
		l := all[h.name]
		if l == nil {
			l = &load{}
			all[h.name] = l
		}
		switch {
		case h.term < l.term:
			continue // one that drains while the next has begun
		case h.term > l.term:
			l.begin(h.term, h.carried)
		}
		l.add(busy[h.name], interval)
		if l.told {
			published[h.name] = l.published
		}
	}
	return heaviest(published)
}

// heaviest are those that can be published, at most maxLoads in maxLoadBytes.
func heaviest(all map[string]int64) map[string]int64 {
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b))
	})
	size := 0
	for i, name := range names {
		size += len(name) + len(strconv.FormatInt(all[name], 10)) + len(`"":,`)
		if i >= maxLoads || size > maxLoadBytes {
			delete(all, name)
		}
	}
	return all
}
