// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// orphanInterval is how long a process has to be dead before ReapOrphans takes it for an orphan.
const orphanInterval = 10 * time.Second

// ReapOrphans reaps processes that were left to this one because it is the first of its container: those that
// hooks have left behind, or what a guardian that was killed could not end. It returns when ctx is done; at
// once if this is not process 1.
//
// What this process has started itself is waited for by whoever started it, all the time; reaped here, its
// exit status would be lost. So only who has been dead for 10 s is reaped: nobody is waiting for it.
func ReapOrphans(ctx context.Context) error {
	if os.Getpid() != 1 {
		return nil
	}
	return reapLoop(ctx, orphanInterval)
}

func reapLoop(ctx context.Context, interval time.Duration) error {
	var before map[process]bool
	for ctx.Err() == nil {
		all, err := processes()
		if err != nil {
			klog.FromContext(ctx).Error(err, "Orphans are not reaped", "again", interval)
		}
		before = reapAgain(all, before)
		await(ctx, interval)
	}
	return nil
}

// reapAgain reaps those of this process's dead children that were dead the last time, too, and returns the
// others.
func reapAgain(all []process, before map[process]bool) map[process]bool {
	dead := make(map[process]bool)
	self := os.Getpid()
	for _, p := range all {
		if !p.zombie || p.parent != self {
			continue
		}
		if before[p] {
			_, _ = unix.Wait4(p.pid, nil, unix.WNOHANG, nil)
		} else {
			dead[p] = true
		}
	}
	return dead
}
