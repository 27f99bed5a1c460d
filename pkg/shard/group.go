// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/lease"
)

// Group is one replica's membership in a group: it holds some of the group's
// shards, and runs their controllers and roles while it does.
type Group struct {
	opts    GroupOptions
	cfg     *rest.Config
	set     *informers.Set
	metrics *metrics
	// recorder is nil if nothing is recorded.
	recorder *recorder
	// follower is nil if no metrics are kept.
	follower *follower
	driving  lease.DriverOptions
	mirror   *lease.Mirror
	// reviser and cost are nil outside of any Pod.
	reviser *reviser
	cost    *costMark
	// obituary is what the others read in the Pod's status when this process has
	// ended.
	obituary string

	changing chan struct{} // has one in it while the duties are being changed

	mu        sync.Mutex
	roster    roster
	retiring  []*service       // of duties that were removed, until they have ended
	tenures   map[*tenure]bool // all whose work has not ended
	granted   uint64           // the number of the newest
	fence     string           // the digest that ReportFence was given
	problem   string           // the text that ReportProblem was given
	declining declining        // what this replica does not take now, and what must not be interrupted
	started   bool
	driver    *lease.Driver // made by Run, before anything that uses it is started
	// loops run while the replica takes part in the group; nil before and after.
	loops *errgroup.Group
	over  bool // Run has ended, or is about to

	departing atomic.Bool // Run was told to leave

	tasks *errgroup.Group // what runs for terms, while Run does
	base  context.Context // what their contexts derive from
}

// NewGroup makes a replica of a group. Nothing is sent before [Group.Run].
func NewGroup(cfg *rest.Config, o GroupOptions) (*Group, error) {
	if err := o.setDefaults(); err != nil {
		return nil, fmt.Errorf("group %q: %w", o.Name, err)
	}
	client, err := lease.NewClient(cfg, o.Namespace)
	if err != nil {
		return nil, fmt.Errorf("group %q: %w", o.Name, err)
	}
	set, err := newInformers(cfg, o)
	if err != nil {
		return nil, fmt.Errorf("group %q: %w", o.Name, err)
	}
	g, err := newGroup(cfg, client, set, o)
	if err != nil {
		return nil, err
	}
	w, err := newWorkload(cfg, &o)
	if err != nil {
		return nil, fmt.Errorf("group %q: %w", o.Name, err)
	}
	g.runsAs(w)
	return g, nil
}

// newGroup makes a group that knows nothing of its Pod.
func newGroup(cfg *rest.Config, client *lease.Client, set *informers.Set, o GroupOptions) (*Group, error) {
	g := &Group{opts: o, cfg: cfg, set: set, mirror: lease.NewMirror(), changing: make(chan struct{}, 1), tenures: map[*tenure]bool{}}
	var err error
	if g.metrics, err = newMetrics(o.Registerer, o.Name); err != nil {
		return nil, fmt.Errorf("group %q: %w", o.Name, err)
	}
	g.recorder = newRecorder(o)
	if o.Registerer != nil {
		if err := g.expose(o.Registerer); err != nil {
			return nil, fmt.Errorf("group %q: metrics: %w", o.Name, err)
		}
	}
	election := o.election()
	if err := election.Validate(); err != nil {
		return nil, fmt.Errorf("group %q: %w", o.Name, err)
	}
	g.obituary = election.TerminationMessage()
	pods, err := o.pods(cfg)
	if err != nil {
		return nil, fmt.Errorf("group %q: %w", o.Name, err)
	}
	g.driving = lease.DriverOptions{
		Election: election, Client: client, Handler: (*handler)(g), Clock: o.Clock, LeaveTimeout: o.LeaveTimeout, Pods: pods,
		Mirror: g.mirror,
	}
	return g, nil
}

func newInformers(cfg *rest.Config, o GroupOptions) (*informers.Set, error) {
	client, err := informers.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("client for discovery: %w", err)
	}
	return informers.New(client, disco, informers.Options{Namespace: o.WatchNamespace, Metadata: o.Metadata})
}

// FencedConfig returns a configuration for clients whose writes are sent only
// within a valid [Term]: use it for every client that a reconcile writes with,
// and pass on the context that the reconcile got.
//
// Reads, watches and reviews pass as they are. A write outside of any term, or
// after the end of its own, is not sent, and one under way at that moment is
// cancelled; both are a [*WriteError]. A connection that is upgraded is not cut
// once it is open. A write that belongs to no shard needs [Unfenced]. What the
// API server's fence refuses is sent again for 1.5 s at most, for it may not know
// of the term yet; see [ServerFenced] for what it means then.
func (g *Group) FencedConfig() *rest.Config { return fenced(g.cfg, g.metrics, g.recorder) }

// Informer shares the group's cache of a type. The caller gives it back with
// Release.
func (g *Group) Informer(r schema.GroupVersionResource) *informers.Informer { return g.set.Watch(r) }

// Leases returns the group's Leases as this replica's watch shows them, by name:
// the records of all members and shards, which are not to be modified. There are none
// before the first list of them. Changed is closed as soon as there is something
// newer, which in a steady group is several times a second.
func (g *Group) Leases() (leases []coordinationv1.Lease, changed <-chan struct{}) {
	return g.mirror.Leases()
}

// current are the duties as they are now.
func (g *Group) current() roster {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.roster
}

// Run takes part in the group until ctx is done. Then it stops taking keys,
// waits for what runs, hands its shards over and ends its session; it returns
// nil if all of that succeeded within the LeaveTimeout, else
// [lease.ErrNotLeft]. Losing a shard never ends it. Nothing it started
// outlives it, except work that ignores its context, which is an error too.
// Filter, Concerns, Keys and Observe of a controller are waited for.
func (g *Group) Run(ctx context.Context) error {
	g.mu.Lock()
	if g.started {
		g.mu.Unlock()
		return errors.New("group: Run was called before: make a new group")
	}
	g.started = true
	g.mu.Unlock()
	klog.FromContext(ctx).Info("Joining the group", "group", g.opts.Name, "namespace", g.opts.Namespace, "pod", g.opts.Pod,
		"leaseDuration", g.opts.Timings.LeaseDuration, "renewDeadline", g.opts.Timings.RenewDeadline, "renewInterval", g.opts.Timings.RenewInterval, "mode", g.opts.Mode,
		"clockRateBound", fmt.Sprintf("%.2f", g.opts.Mode.ClockRateBound(g.opts.Timings)))

	g.leaveObituary(ctx)
	if err := g.join(ctx); err != nil {
		g.mu.Lock()
		g.over = true
		g.mu.Unlock()
		g.releaseAll()
		return err
	}
	base, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	loops, base := errgroup.WithContext(base)
	g.base, g.tasks = base, &errgroup.Group{}
	loops.Go(func() error { return g.set.Run(base) })
	loops.Go(func() error { return g.reportLoop(base) })
	if g.recorder != nil {
		loops.Go(func() error { return g.recorder.recordLoop(base) })
	}
	if g.follower != nil {
		loops.Go(func() error { return g.follower.followLoop(base) })
	}
	if g.cost != nil {
		loops.Go(func() error { return g.cost.markLoop(base) })
		loops.Go(func() error { return g.reviser.reviseLoop(base, g.driver.Revise) })
	}
	g.mu.Lock()
	g.loops = loops
	g.observe(g.roster.controllers)
	g.attend(g.roster.roles)
	g.mu.Unlock()
	loops.Go(func() error {
		leave, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(base, cancel)() // another loop failed: leave in order even so
		defer context.AfterFunc(leave, func() { g.departing.Store(true) })()
		err := g.driver.Run(leave)
		g.endTenures()
		g.mu.Lock()
		g.loops, g.over = nil, true // none is added while they are waited for
		g.mu.Unlock()
		stop(errLeft)
		return err
	})
	err := loops.Wait()
	err = errors.Join(err, g.awaitTasks())
	g.releaseAll()
	return err
}

// releaseAll gives back what the duties have borrowed, now that none of them works any
// more, or ever will.
func (g *Group) releaseAll() {
	g.mu.Lock()
	all := slices.Concat(g.roster.services(), g.retiring)
	g.mu.Unlock()
	for _, s := range all {
		s.release()
	}
}

// errLeft ends what serves the terms, after the last of them.
var errLeft = fmt.Errorf("%w: the replica has left the group", ErrTermOver)

// endTenures ends what a driver that gave up has left running.
func (g *Group) endTenures() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for t := range g.tenures {
		t.end(errLeft)
	}
}

// abandonAfter is how long Run waits, at its very end, for work that was
// cancelled.
const abandonAfter = 2 * time.Second

// awaitTasks waits for the work of ended terms. What still ignores its context
// is left behind: its writes are fenced.
func (g *Group) awaitTasks() error {
	done := make(chan struct{})
	go func() {
		_ = g.tasks.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-time.After(abandonAfter):
		return fmt.Errorf("group %q: work that ignores its context was left behind", g.opts.Name)
	}
}

// families are all that are configured, by name.
func (g *Group) families() map[string]lease.ShardSpec { return g.current().families() }

// served are the families of which this replica could hold shards now: those
// whose caches have all synced.
func (g *Group) served() []lease.ShardSpec {
	duties := g.current()
	all := duties.families()
	for _, c := range duties.controllers {
		if !c.synced() {
			delete(all, c.family)
		}
	}
	served := make([]lease.ShardSpec, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		served = append(served, all[name])
	}
	return served
}
