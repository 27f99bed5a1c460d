// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package work

// BacklogShare: of so many keys taken, one comes from the backlog even while
// live events wait, so that a busy shard still gets through its promotion.
const BacklogShare = 16

// Lanes is the order of a queue, for client-go's workqueue: keys that are there
// only because the shard was promoted wait behind those that something happened
// to. The zero Lanes are ready for use.
type Lanes[K comparable] struct {
	live       []K
	backlog    []K        // may hold keys that were moved to live since
	backlogged map[K]bool // what of backlog still counts
	fill       K          // the key that is being added to the backlog,
	filling    bool       // if any
	popped     int
}

// Fill says that the key which is added next, unless it is in a lane already,
// belongs to the backlog. It holds until the next Fill, or Filled.
func (l *Lanes[K]) Fill(key K) { l.fill, l.filling = key, true }

// Filled says that what is added from now on is live.
func (l *Lanes[K]) Filled() {
	var none K
	l.fill, l.filling = none, false
}

// Touch moves a key that is added again to the fast lane.
func (l *Lanes[K]) Touch(key K) {
	if l.backlogged[key] && !l.fills(key) {
		delete(l.backlogged, key)
		l.live = append(l.live, key)
	}
}

// Push adds a key that is in neither lane.
func (l *Lanes[K]) Push(key K) {
	if !l.fills(key) {
		l.live = append(l.live, key)
		return
	}
	if l.backlogged == nil {
		l.backlogged = map[K]bool{}
	}
	l.backlog = append(l.backlog, key)
	l.backlogged[key] = true
}

func (l *Lanes[K]) fills(key K) bool { return l.filling && key == l.fill }

// Len counts the keys of both lanes.
func (l *Lanes[K]) Len() int { return len(l.live) + len(l.backlogged) }

// Pop takes the next key; there is one.
func (l *Lanes[K]) Pop() K {
	l.popped++
	fromBacklog := len(l.live) == 0 || l.popped%BacklogShare == 0
	if fromBacklog && len(l.backlogged) > 0 {
		return l.popBacklog()
	}
	return pop(&l.live)
}

func (l *Lanes[K]) popBacklog() K {
	for {
		key := pop(&l.backlog)
		if l.backlogged[key] {
			delete(l.backlogged, key)
			return key
		}
	}
}

// pop takes the first key, and lets go of what it refers to. The room of the last
// one is kept: mostly there is one key at a time, and the next needs no other.
func pop[K any](lane *[]K) K {
	var none K
	key := (*lane)[0]
	(*lane)[0] = none
	if len(*lane) == 1 {
		*lane = (*lane)[:0]
	} else {
		*lane = (*lane)[1:]
	}
	return key
}
