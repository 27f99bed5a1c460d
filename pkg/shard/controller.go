// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/cache"

	"github.com/shardctl/shardctl/internal/work"
	"github.com/shardctl/shardctl/pkg/informers"
	"github.com/shardctl/shardctl/pkg/lease"
)

// Result says what is to be done after a reconcile.
type Result struct {
	// RequeueAfter, if above zero, reconciles the key again after that time.
	RequeueAfter time.Duration
}

// Controller reconciles the objects of one type on whichever replica holds the
// type's shard, or the bucket of it that the object is in. Several controllers
// of one type share its shards.
type Controller struct {
	// Name tells controllers of one type apart in logs and metrics; it is
	// unique among them. Default: the shard's name.
	Name string
	// Resource is the type. Its shard is named resource.group.
	Resource schema.GroupVersionResource
	// Buckets is how many shards the type's objects are divided into, so that
	// several replicas share the work on them; they are named
	// resource.group.i-of-n. It is the same for all controllers of the type. What
	// the group's layout record says goes first: a new number comes into force once
	// all live replicas know it. Default 1, which is no division; most
	// [lease.MaxBuckets].
	Buckets int
	// Partition says how objects are divided into buckets; it is the same for all
	// controllers of the type. Default [lease.ByUID].
	Partition lease.Partition
	// Reconcile brings one object to its desired state. It is called on the
	// holder of the object's shard alone, never twice at a time for one key, at least
	// once per term for every object of the shard, and again after each change. The context
	// carries the [Term] and is cancelled when that ends; a reconcile that goes
	// on regardless keeps the shard from moving. The object may be gone. An
	// error is retried with back-off, or after Result.RequeueAfter if that is
	// set beside it.
	Reconcile func(ctx context.Context, key Key) (Result, error)
	// Observe, if set, is called on every replica, holder or not, one key at a
	// time, after each change and once per object at start. It must not write.
	Observe func(ctx context.Context, key Key)
	// Filter, if set, says which objects are reconciled. The default is all. It may
	// be called from several goroutines.
	Filter func(*informers.Object) bool
	// Concerns, if set, says whether a change of an object is to be reconciled.
	// The default is every change of an object that passes the Filter before or
	// after it.
	Concerns func(from, to *informers.Object) bool
	// Watches are other types whose objects concern those of this one. Nothing
	// is reconciled before their caches have synced too.
	Watches []Watch
	// Workers is how many keys of one shard are reconciled at a time. Default 4,
	// most 1000.
	Workers int
	// MinBackoff and MaxBackoff bound the wait after a failed reconcile, which
	// doubles with every failure of that key. Defaults 50 ms and 1 minute.
	MinBackoff, MaxBackoff time.Duration
	// Done, if set, is called once when neither Reconcile nor Observe is called any
	// more: after the controller was removed, or at the end of [Group.Run]. A call of
	// the other functions that is under way may return later.
	Done func()
}

// Watch makes changes of another type's objects reconcile objects of the
// controller's own.
type Watch struct {
	Resource schema.GroupVersionResource
	// Keys names the objects of the controller's type that the object
	// concerns.
	Keys func(*informers.Object) []Key
}

const (
	defaultWorkers    = 4
	maxWorkers        = 1000
	defaultMinBackoff = 50 * time.Millisecond
	defaultMaxBackoff = time.Minute
)

func (c *Controller) setDefaults() {
	if c.Name == "" {
		c.Name = familyOf(c.Resource)
	}
	if c.Buckets == 0 {
		c.Buckets = 1
	}
	if c.Partition == "" {
		c.Partition = lease.ByUID
	}
	if c.Workers == 0 {
		c.Workers = defaultWorkers
	}
	if c.MinBackoff == 0 {
		c.MinBackoff = defaultMinBackoff
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = max(defaultMaxBackoff, c.MinBackoff)
	}
}

func (c *Controller) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Resource.Resource == "" || c.Resource.Version == "" {
		bad("resource: %q is not complete: name group, version and resource", c.Resource)
	}
	if _, b := lease.ParseShardName(familyOf(c.Resource)); b != (lease.Bucket{}) {
		bad("resource: %s is what a bucket of another type's shard would be called: use another group", familyOf(c.Resource))
	}
	if c.Buckets < 1 || c.Buckets > lease.MaxBuckets {
		bad("buckets: %d is not allowed: use 1 to %d", c.Buckets, lease.MaxBuckets)
	}
	if !slices.Contains(lease.Partitions(), c.Partition) {
		bad("partition: %q is not allowed: use one of %q", c.Partition, lease.Partitions())
	}
	if c.Reconcile == nil {
		bad("reconcile: is required")
	}
	if c.Workers < 1 || c.Workers > maxWorkers {
		bad("workers: %d is not allowed: use 1 to %d", c.Workers, maxWorkers)
	}
	if c.MinBackoff < 0 || c.MaxBackoff < c.MinBackoff {
		bad("minBackoff, maxBackoff: %s, %s are not allowed: use 0 or more, and no less for the latter", c.MinBackoff, c.MaxBackoff)
	}
	for i, w := range c.Watches {
		if w.Keys == nil || w.Resource.Resource == "" || w.Resource.Version == "" {
			bad("watches[%d]: name group, version and resource, and set keys", i)
		}
	}
	return errors.Join(errs...)
}

// familyOf is the name of a type's shards: of the only one, if it is not divided.
func familyOf(r schema.GroupVersionResource) string { return r.GroupResource().String() }

// controller is a Controller at work.
type controller struct {
	Controller
	family  string
	service *service
	own     *informers.Informer
	others  []*informers.Informer
	metrics *metrics
	// succeeded measures those reconciles that did. There are too many to look it up for each.
	succeeded func() prometheus.Observer
	remove    []func() // event handlers

	seen     *observations
	problems *problems

	mu       sync.Mutex
	list     work.List[Key]
	queues   map[work.Term]*queue     // of terms that have begun, and not ended
	busy     map[string]time.Duration // spent in Reconcile, by shard
	returned *sync.Cond               // of mu: a reconcile has returned
}

func newController(c Controller, set *informers.Set, m *metrics) (*controller, error) {
	w := &controller{
		Controller: c,
		family:     familyOf(c.Resource),
		own:        set.Watch(c.Resource),
		metrics:    m,
		problems:   newProblems(),
		queues:     map[work.Term]*queue{},
		busy:       map[string]time.Duration{},
	}
	w.returned = sync.NewCond(&w.mu)
	w.succeeded = sync.OnceValue(func() prometheus.Observer { return m.reconciles.WithLabelValues(w.family, w.Name, "success") })
	if c.Observe != nil {
		w.seen = newObservations(c.Name)
	}
	w.service = newService("controller "+c.Name+" of "+w.family, w.release)
	for _, watched := range c.Watches {
		w.others = append(w.others, set.Watch(watched.Resource))
	}
	errs := []error{w.handle(w.own, w.ownEvents())}
	for i, other := range w.others {
		errs = append(errs, w.handle(other, w.otherEvents(c.Watches[i].Keys)))
	}
	if err := errors.Join(errs...); err != nil {
		w.giveBack()
		return nil, err
	}
	return w, nil
}

func (c *controller) handle(i *informers.Informer, h cache.ResourceEventHandler) error {
	remove, err := i.AddHandler(h)
	if err != nil {
		return fmt.Errorf("controller %s: %w", c.Name, err)
	}
	c.remove = append(c.remove, remove)
	return nil
}

func (c *controller) of() *service { return c.service }

// informers are those of all types that a reconcile may read.
func (c *controller) informers() []*informers.Informer { return append(slices.Clone(c.others), c.own) }

// release: nothing of the controller runs any more.
func (c *controller) release() {
	c.giveBack()
	if c.Done != nil {
		c.Done()
	}
}

// giveBack gives the informers back.
func (c *controller) giveBack() {
	for _, remove := range c.remove {
		remove()
	}
	for _, i := range c.informers() {
		i.Release()
	}
}

// orNothing is what to do if there is something to be done.
func orNothing(do func()) func() {
	if do == nil {
		return func() {}
	}
	return do
}

// synced tells whether every cache that a reconcile may read is complete.
func (c *controller) synced() bool {
	return c.own.Synced() && !slices.ContainsFunc(c.others, func(i *informers.Informer) bool { return !i.Synced() })
}

// unsynced says which caches are not complete, and why; empty if all are.
func (c *controller) unsynced() string {
	for _, i := range c.informers() {
		if !i.Synced() {
			return fmt.Sprintf("%s: %s", i.Resource().GroupResource(), i.State())
		}
	}
	return ""
}

// stale says which caches are complete but cannot be kept up to date, and why;
// empty if all can.
func (c *controller) stale() string {
	for _, i := range c.informers() {
		if state := i.State(); state.Phase == informers.Failing {
			return fmt.Sprintf("%s: %s", i.Resource().GroupResource(), state)
		}
	}
	return ""
}

// unready is like unsynced, but leaves out the types of which it is known that
// the API server does not serve them.
func (c *controller) unready() string {
	for _, i := range c.informers() {
		if state := i.State(); !i.Synced() && (state.Phase != informers.Missing || state.Err == nil) {
			return fmt.Sprintf("%s: %s", i.Resource().GroupResource(), state)
		}
	}
	return ""
}

// answered tells whether it is known of every type how it stands: complete, not
// served, or refused by the API server.
func (c *controller) answered() bool {
	for _, i := range c.informers() {
		state := i.State()
		if !i.Synced() && state.Phase != informers.Failing && (state.Phase != informers.Missing || state.Err == nil) {
			return false
		}
	}
	return true
}

// failing says, per shard, which reconciles fail.
func (c *controller) failing() map[string]string {
	all := map[string]string{}
	for bucket, reason := range c.problems.summaries() {
		all[lease.ShardName(c.family, bucket)] = reason
	}
	return all
}
