// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"time"
)

// Kind is a kind of fault: a row of the table.
type Kind struct {
	// Name selects it.
	Name string
	// What it does, for people.
	What string
	// Control says that client-go's electors elect, and that nothing fences: the oracle has to find overlapping writes.
	Control bool
	// NoLocalFence says that the replicas are built without the local fence: the one in the API server has to refuse
	// writes.
	NoLocalFence bool

	// refusedLocally says that local fences have to refuse writes.
	refusedLocally bool
	// ofServers says that a control plane has one group of this kind only, since all of it suffers.
	ofServers     bool
	twoAPIServers bool
	// hitsAll says that it hits no replica in particular.
	hitsAll bool
	// least and most are how long the fault lasts, for those that last.
	least, most time.Duration
	// inject does it to the group, for as long as the run says, and ends it.
	inject func(ctx context.Context, r *run) error
}

// surely is how long a fault has to last so that the others take over from whom it hits, and that one's own session is over:
// twice the LeaseDuration of the replicas. The first run of each kind lasts as long, unless the kind's own most is less.
const surely = 4 * time.Second

// Kinds are all there are, in the order of the table.
func Kinds() []Kind {
	return []Kind{
		{
			Name: "kill", What: "SIGKILL; the container is restarted after up to 6 s",
			least: 50 * time.Millisecond, most: 6 * time.Second, inject: kill,
		},
		{
			Name: "pause", What: "SIGSTOP for 1 to 60 s, then SIGCONT", refusedLocally: true,
			least: time.Second, most: time.Minute, inject: pause,
		},
		{
			Name: "pause-nofence", What: "SIGSTOP past the validity for 4 to 20 s, no local fence", NoLocalFence: true,
			least: surely, most: 20 * time.Second, inject: pause,
		},
		{
			Name: "cut", What: "connections cut, new ones refused for up to 8 s",
			least: 10 * time.Millisecond, most: 8 * time.Second, inject: cut,
		},
		{
			Name: "delay", What: "every byte delayed by 30 ms to 2 s each way, for 4 to 10 s",
			least: surely, most: 10 * time.Second, inject: delay,
		},
		{
			Name: "block-requests", What: "requests held up for 0.5 to 15 s, then they arrive",
			least: 500 * time.Millisecond, most: 15 * time.Second, inject: holdUp(true, false),
		},
		{
			Name: "block-answers", What: "answers held up for 0.5 to 15 s",
			least: 500 * time.Millisecond, most: 15 * time.Second, inject: holdUp(false, true),
		},
		{
			Name: "swallow", What: "requests carried out, answers thrown away for 0.5 to 15 s",
			least: 500 * time.Millisecond, most: 15 * time.Second, inject: swallow,
		},
		{
			Name: "apiserver-restart", What: "API server restarted, by SIGTERM and SIGKILL in turns",
			ofServers: true, hitsAll: true, inject: restartAPIServer,
		},
		{
			Name: "etcd-restart", What: "etcd killed and restarted",
			ofServers: true, hitsAll: true, inject: restartEtcd,
		},
		{
			Name: "compaction", What: "watches cut for 1 to 6 s, etcd compacted meanwhile (410)",
			ofServers: true, least: time.Second, most: 6 * time.Second, inject: compact,
		},
		{
			Name: "apiserver-cut-off", What: "one of two API servers cut off from etcd for 1 to 15 s",
			ofServers: true, hitsAll: true, twoAPIServers: true, least: time.Second, most: 15 * time.Second, inject: cutOffAPIServer,
		},
		{
			Name: "control-pause", What: "client-go's elector: SIGSTOP for 4 to 20 s", Control: true,
			least: surely, most: 20 * time.Second, inject: pause,
		},
		{
			Name: "control-block", What: "client-go's elector: requests held up for 4 to 15 s", Control: true,
			least: surely, most: 15 * time.Second, inject: holdUp(true, false),
		},
	}
}
