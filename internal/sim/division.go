// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package sim

import (
	"cmp"
	"time"

	"github.com/shardctl/shardctl/pkg/lease"
)

// division divides one family of a history into buckets, and does so anew now and
// then: as a rolling update does, with replicas that are configured otherwise, or
// by configuring those that run.
type division struct {
	source
	c      *chaos
	family string
}

const (
	shareDivided = 0.25
	// divisionSource tells this source of chance from others: without divisions,
	// all else draws the same.
	divisionSource = 1 << 30
)

// divide makes the first family of a history a divided one, or not.
func (c *chaos) divide() *division {
	d := &division{source: c.w.source(divisionSource), c: c}
	if !d.strikes(Divided, shareDivided) {
		return nil
	}
	d.family = c.w.Config.Shards[0].Name
	d.draw()
	return d
}

// draw says how replicas that start from now on would divide the family.
func (d *division) draw() {
	numbers := []int{1, 2, 3, 4, 6}
	families := append([]lease.ShardSpec(nil), d.c.w.Config.Shards...)
	families[0].Buckets = numbers[d.rng.IntN(len(numbers))]
	families[0].Partition = []lease.Partition{lease.ByUID, lease.ByKey}[d.rng.IntN(2)]
	d.c.w.Config.Shards = families
}

// begin acts from now on, until the faults heal.
func (d *division) begin() {
	d.c.w.after(Span{0, 6 * d.c.scale}.draw(d.rng), func() {
		if d.c.healed {
			return
		}
		if d.happens(Redivided) {
			d.redivide()
		}
		d.begin()
	})
}

func (d *division) redivide() {
	w := d.c.w
	d.draw()
	w.logf("*", "%s is to be divided into %d by %s", d.family, w.Config.Shards[0].Buckets, w.Config.Shards[0].Partition)
	if d.chance(0.5) {
		d.c.revision++
		if len(w.Alive()) <= maxReplicas {
			d.c.join()
		}
		return
	}
	for _, r := range w.Alive() {
		if d.chance(0.2) {
			continue
		}
		configured := lease.Configured{Shards: w.Config.Shards}
		w.after(Span{0, d.c.scale}.draw(d.rng), func() {
			if !d.c.healed {
				r.Deliver(configured)
			}
		})
	}
}

// ShardNames are the shards of all families, divided as replicas are configured
// for that start now.
func (w *World) ShardNames() []string {
	var names []string
	for _, s := range w.Config.Shards {
		for _, b := range bucketsOf(s) {
			names = append(names, lease.ShardName(s.Name, b))
		}
	}
	return names
}

// bucketsOf are all that a family is to be divided into.
func bucketsOf(s lease.ShardSpec) []lease.Bucket {
	if s.Buckets <= 1 {
		return []lease.Bucket{{}}
	}
	buckets := make([]lease.Bucket, s.Buckets)
	for i := range buckets {
		buckets[i] = lease.Bucket{Index: i, Of: s.Buckets, By: cmp.Or(s.Partition, lease.ByUID)}
	}
	return buckets
}

// divided tells whether the layout record says that families are divided as replicas
// are configured for, and that no change is under way.
func (w *World) divided() bool {
	record := w.Server.leases[lease.LayoutLeaseName(Group)]
	if record == nil {
		return false
	}
	families := lease.DecodeLayout(record).Families
	for _, s := range w.Config.Shards {
		l := families[s.Name]
		if b := bucketsOf(s)[0]; len(l.From) > 0 || l.Buckets != b.Of || l.By != b.By {
			return false
		}
	}
	return true
}

// samples is how many keys of a family are looked at.
const samples = 60

// Unowned counts, of 60 keys of a family, those that nobody may work on at this
// instant, whichever way the family is divided.
func (w *World) Unowned(family string) int {
	unowned := 0
	for i := range uint32(samples) {
		byUID, byKey := i*(1<<32/samples)+i, i*0x9e3779b1
		owned := false
		for _, r := range w.Alive() {
			for _, held := range r.Terms {
				position := byUID
				if held.Bucket.By != lease.ByUID {
					position = byKey
				}
				owned = owned || held.Family == family && held.Bucket.Contains(position) && held.validity.valid(r.now())
			}
		}
		if !owned {
			unowned++
		}
	}
	return unowned
}

// owned tells whether some replica may work on each key.
func (h *History) owned() bool {
	for _, s := range h.World.Config.Shards {
		if h.World.Unowned(s.Name) > 0 {
			return false
		}
	}
	return true
}

// redivided is how long it takes, after the faults have healed, until families are
// divided as all replicas are configured: once to what the record says, and once
// more over one piece where the number stays and the partition does not; each time
// new Leases may have to wait (R6b), and old ones.
func (h *History) redivided() time.Duration {
	if h.division == nil {
		return 0
	}
	return 6 * (h.slowly(h.chaos.scale) + 2*time.Second)
}

// strays counts the Leases of earlier layouts, which are removed by and by.
func (w *World) strays() int {
	n := 0
	for name := range w.Server.leases {
		if _, b := lease.ParseShardName(name); b.Of > 0 {
			n++
		}
	}
	return n
}

// divisionRequests is how many more requests a replica may send in a second where
// families are divided anew: it makes, records, seals, claims and removes Leases.
func (w *World) divisionRequests() int {
	if w.strays() == 0 {
		return 0
	}
	return 6 * (w.strays() + 1)
}
