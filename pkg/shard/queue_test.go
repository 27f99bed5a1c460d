// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shardctl/shardctl/internal/work"
)

func key(name string) Key { return Key{Namespace: "ns", Name: name} }

// take gets all keys that are in the queue now, one after the other.
func take(q *queue) []string {
	var names []string
	for q.Len() > 0 {
		k, _ := q.Get()
		names = append(names, k.Name)
		q.Done(k)
	}
	return names
}

func newTestQueue(t *testing.T) *queue {
	q := newQueue("test", time.Millisecond, time.Second)
	t.Cleanup(q.ShutDown)
	return q
}

func TestQueueServesLiveEventsBeforeTheBacklog(t *testing.T) {
	q := newTestQueue(t)
	q.addBacklog([]Key{key("old-1"), key("old-2"), key("old-3")})
	q.Add(key("live-1"))
	q.Add(key("old-2")) // something happened to it
	q.Add(key("live-1"))
	if got, want := take(q), []string{"live-1", "old-2", "old-1", "old-3"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestQueueBacklogLeavesWhatIsQueuedInItsLane(t *testing.T) {
	q := newTestQueue(t)
	q.Add(key("live"))
	q.addBacklog([]Key{key("old"), key("live")})
	if got, want := take(q), []string{"live", "old"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestQueueABusyLaneDoesNotStarveTheBacklog(t *testing.T) {
	q := newTestQueue(t)
	q.addBacklog([]Key{key("old")})
	for i := range 4 * work.BacklogShare {
		q.Add(key(fmt.Sprintf("live-%d", i)))
	}
	if at := slices.Index(take(q), "old"); at >= work.BacklogShare {
		t.Errorf("the backlog was served after %d keys, want less than %d", at, work.BacklogShare)
	}
}

func TestQueueAKeyAddedWhileItIsProcessedComesAgain(t *testing.T) {
	q := newTestQueue(t)
	q.addBacklog([]Key{key("a")})
	k, _ := q.Get()
	q.Add(k)
	if q.Len() != 0 {
		t.Error("the key can be taken twice at a time")
	}
	q.Done(k)
	if got, want := take(q), []string{"a"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}
