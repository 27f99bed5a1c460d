// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/shardctl/shardctl/e2e/controlplane"
	"github.com/shardctl/shardctl/e2e/oracle"
	"github.com/shardctl/shardctl/internal/schedule"
	"github.com/shardctl/shardctl/pkg/lease"
)

// chronicle is what the Leases of the roles have said from the first revision on, as etcd tells it: the truth about claims.
type chronicle struct {
	group    string
	roles    map[string]bool
	recorder *oracle.Recorder
	// told runs for each entry, on the goroutine that follows; the entry is known to others by then.
	told func(role string, e Entry)

	mu      sync.Mutex
	seen    int // of the recorder's events
	entries map[string][]Entry
	changed chan struct{} // closed and replaced with each entry
}

func newChronicle(ctx context.Context, cp *controlplane.ControlPlane, group string, roles []Role) (*chronicle, error) {
	recorder, err := oracle.Start(ctx, oracle.Options{
		Endpoints: []string{cp.EtcdEndpoint()}, TLS: cp.EtcdTLS(),
		Keep: func(k oracle.Key) bool { return k.Resource.Resource == "leases" && k.Namespace == group },
	})
	if err != nil {
		return nil, err
	}
	c := &chronicle{
		group: group, roles: map[string]bool{}, recorder: recorder, told: func(string, Entry) {},
		entries: map[string][]Entry{}, changed: make(chan struct{}),
	}
	for _, r := range roles {
		c.roles[r.Name] = true
	}
	return c, nil
}

// followLoop takes over what etcd tells, until ctx is done.
func (c *chronicle) followLoop(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.takeOver(); err != nil {
			return err
		}
		if err := c.recorder.WaitFor(ctx, c.recorder.Revision()+1); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// takeOver reads what there is by now.
func (c *chronicle) takeOver() error {
	events := c.recorder.Events()
	for ; c.seen < len(events); c.seen++ {
		e := events[c.seen]
		role, _ := strings.CutPrefix(e.Key.Name, c.group+".")
		if !c.roles[role] {
			continue // a member, or the layout
		}
		if e.Deleted {
			return fmt.Errorf("revision %d: the Lease of role %s was deleted", e.Revision, role)
		}
		entry, err := entryOf(e)
		if err != nil {
			return fmt.Errorf("revision %d, role %s: %w", e.Revision, role, err)
		}
		c.mu.Lock()
		c.entries[role] = append(c.entries[role], entry)
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
		c.told(role, entry)
	}
	return nil
}

func entryOf(e oracle.Event) (Entry, error) {
	said := e.Object.Lease
	entry := Entry{Revision: e.Revision, Created: said.Created.UTC(), Holder: said.Holder, Epoch: said.Epoch, Left: said.Left}
	if said.Ledger == "" {
		return entry, nil
	}
	var err error
	entry.Record, err = schedule.Decode(said.Ledger)
	return entry, err
}

// history is all that a role's Lease has said so far.
func (c *chronicle) history(role string) []Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clip(c.entries[role])
}

// now is what it says now; zero if nothing yet.
func (c *chronicle) now(role string) Entry {
	all := c.history(role)
	if len(all) == 0 {
		return Entry{}
	}
	return all[len(all)-1]
}

// holder is the Pod that holds a role; empty: nobody.
func (c *chronicle) holder(role string) string {
	id, err := lease.ParseIdentity(c.now(role).Holder)
	if err != nil {
		return ""
	}
	return id.Pod
}

// await waits until the condition holds, which is asked again with each entry.
func (c *chronicle) await(ctx context.Context, what string, is func() error) error {
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		missing := is()
		if missing == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %w: %w", what, missing, context.Cause(ctx))
		}
	}
}
