// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package leasetest is an API server for Leases in memory, for tests on
// virtual time. Unlike client-go's fake clientset it enforces
// resourceVersions, so locks can be tested with it: every write gets the next
// one, an update or a delete must name the one it was derived from, and every
// watch shows all writes in that one order.
package leasetest

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	coordinationclient "k8s.io/client-go/kubernetes/typed/coordination/v1"
)

// maxBehind bounds the events that a watch may be behind before it is closed.
const maxBehind = 10_000

var leases = coordinationv1.Resource("leases")

// Store holds Leases. The zero value is ready.
type Store struct {
	mu       sync.Mutex
	revision int64 // how many writes there were; a resourceVersion is one more, for 0 is none
	leases   map[string]*coordinationv1.Lease
	watches  map[*subscription]bool
	history  []change // all there was: tests are short
	requests []Request
}

// change is one write; old is nil if it created, now if it deleted the Lease.
type change struct {
	revision int64
	old, now *coordinationv1.Lease
}

// Request is one that the store was sent.
type Request struct {
	Client, Verb, Name string
}

// Client returns a client whose requests are counted under a name. Before
// each, fault is called if it is not nil: its error is the answer, and it may
// block until the request's context is done.
func (s *Store) Client(name string, fault func(ctx context.Context, verb string) error) coordinationclient.LeaseInterface {
	return &client{store: s, name: name, fault: fault}
}

// Requests returns all requests there were, in order.
func (s *Store) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.requests...)
}

// Lease returns a Lease, or nil.
func (s *Store) Lease(name string) *coordinationv1.Lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leases[name].DeepCopy()
}

type subscription struct {
	events   chan watch.Event
	selector labels.Selector
}

// client is one client's way to the store. What the election does not use is
// left to the nil interface, and panics.
type client struct {
	coordinationclient.LeaseInterface
	store *Store
	name  string
	fault func(ctx context.Context, verb string) error
}

func (c *client) enter(ctx context.Context, verb, name string) error {
	c.store.mu.Lock()
	c.store.requests = append(c.store.requests, Request{Client: c.name, Verb: verb, Name: name})
	c.store.mu.Unlock()
	if c.fault != nil {
		if err := c.fault(ctx, verb); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (c *client) Get(ctx context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	if err := c.enter(ctx, "get", name); err != nil {
		return nil, err
	}
	if l := c.store.Lease(name); l != nil {
		return l, nil
	}
	return nil, apierrors.NewNotFound(leases, name)
}

func (c *client) List(ctx context.Context, o metav1.ListOptions) (*coordinationv1.LeaseList, error) {
	if err := c.enter(ctx, "list", ""); err != nil {
		return nil, err
	}
	selector, err := labels.Parse(o.LabelSelector)
	if err != nil {
		return nil, fmt.Errorf("selector: %w", err)
	}
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	list := &coordinationv1.LeaseList{}
	list.ResourceVersion = strconv.FormatInt(s.revision+1, 10)
	for _, l := range s.leases {
		if selector.Matches(labels.Set(l.Labels)) {
			list.Items = append(list.Items, *l.DeepCopy())
		}
	}
	return list, nil
}

// Watch shows everything after the resourceVersion asked for.
func (c *client) Watch(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	if err := c.enter(ctx, "watch", ""); err != nil {
		return nil, err
	}
	selector, err := labels.Parse(o.LabelSelector)
	if err != nil {
		return nil, fmt.Errorf("selector: %w", err)
	}
	from, err := strconv.ParseInt(o.ResourceVersion, 10, 64)
	if err != nil {
		return nil, apierrors.NewBadRequest("resourceVersion: " + o.ResourceVersion)
	}
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := &subscription{events: make(chan watch.Event, maxBehind), selector: selector}
	if s.watches == nil {
		s.watches = map[*subscription]bool{}
	}
	s.watches[sub] = true
	for _, ch := range s.history {
		if ch.revision+1 > from {
			s.show(sub, ch)
		}
	}
	context.AfterFunc(ctx, func() { s.unsubscribe(sub) })
	return watch.NewProxyWatcher(sub.events), nil
}

func (s *Store) unsubscribe(sub *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watches[sub] {
		delete(s.watches, sub)
		close(sub.events)
	}
}

func (c *client) Create(ctx context.Context, l *coordinationv1.Lease, _ metav1.CreateOptions) (*coordinationv1.Lease, error) {
	if err := c.enter(ctx, "create", l.Name); err != nil {
		return nil, err
	}
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leases[l.Name] != nil {
		return nil, apierrors.NewAlreadyExists(leases, l.Name)
	}
	l = l.DeepCopy()
	l.UID = types.UID(fmt.Sprintf("uid-%d", s.revision+1))
	l.CreationTimestamp = metav1.Now()
	return s.write(change{now: l}), nil
}

func (c *client) Update(ctx context.Context, l *coordinationv1.Lease, _ metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	if err := c.enter(ctx, "update", l.Name); err != nil {
		return nil, err
	}
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.leases[l.Name]
	switch {
	case old == nil:
		return nil, apierrors.NewNotFound(leases, l.Name)
	case l.ResourceVersion != old.ResourceVersion || l.UID != old.UID:
		return nil, apierrors.NewConflict(leases, l.Name, fmt.Errorf("it is at %s, not at %s", old.ResourceVersion, l.ResourceVersion))
	}
	return s.write(change{old: old, now: l.DeepCopy()}), nil
}

func (c *client) Delete(ctx context.Context, name string, o metav1.DeleteOptions) error {
	if err := c.enter(ctx, "delete", name); err != nil {
		return err
	}
	s := c.store
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.leases[name]
	if old == nil {
		return apierrors.NewNotFound(leases, name)
	}
	if p := o.Preconditions; p != nil && (p.UID != nil && *p.UID != old.UID || p.ResourceVersion != nil && *p.ResourceVersion != old.ResourceVersion) {
		return apierrors.NewConflict(leases, name, fmt.Errorf("it is at %s", old.ResourceVersion))
	}
	s.write(change{old: old})
	return nil
}

// write carries a change out, at the next resourceVersion, and shows it.
func (s *Store) write(ch change) *coordinationv1.Lease {
	s.revision++
	ch.revision = s.revision
	if s.leases == nil {
		s.leases = map[string]*coordinationv1.Lease{}
	}
	if ch.now == nil {
		delete(s.leases, ch.old.Name)
	} else {
		ch.now.ResourceVersion = strconv.FormatInt(s.revision+1, 10)
		s.leases[ch.now.Name] = ch.now
	}
	s.history = append(s.history, ch)
	for sub := range s.watches {
		s.show(sub, ch)
	}
	return ch.now.DeepCopy()
}

// show tells a watch that selects the Lease now, or did before.
func (s *Store) show(sub *subscription, ch change) {
	selects := func(l *coordinationv1.Lease) bool { return l != nil && sub.selector.Matches(labels.Set(l.Labels)) }
	ev := watch.Event{Type: watch.Modified, Object: ch.now.DeepCopy()}
	switch before, now := selects(ch.old), selects(ch.now); {
	case now && !before:
		ev.Type = watch.Added
	case before && !now:
		gone := ch.old.DeepCopy()
		gone.ResourceVersion = strconv.FormatInt(ch.revision+1, 10)
		ev = watch.Event{Type: watch.Deleted, Object: gone}
	case !now:
		return
	}
	select {
	case sub.events <- ev:
	default: // too far behind
		delete(s.watches, sub)
		close(sub.events)
	}
}
