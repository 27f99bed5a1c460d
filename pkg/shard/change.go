// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Change is what a group is to do otherwise. A controller or role that is both removed
// and added is replaced: the shards that it works for stay where they are.
type Change struct {
	// RemoveControllers and RemoveRoles name what is to end. It takes no more work at
	// once; what is in flight has the DrainGrace before its context is cancelled.
	// Shards of which nothing is left are given to replicas that still have them, or
	// else released; their Leases stay.
	RemoveControllers []ControllerName
	RemoveRoles       []string
	// AddControllers and AddRoles are to begin. A controller begins with every object
	// of the shards that are held here. What replaces another begins once nothing of
	// that runs here any more.
	AddControllers []Controller
	AddRoles       []Role
	// AddSchedules are roles, too: RemoveRoles names them when they are to end.
	AddSchedules []Schedule
}

// ControllerName names a controller of a group.
type ControllerName struct {
	Resource schema.GroupResource
	Name     string // as in [Controller]; empty: the type's name
}

// cachePatience is how long the controllers of a type work on alone, or the one that is
// replaced, while the caches of the next one are being filled.
const cachePatience = 30 * time.Second

// Add adds a controller. All types of a group have [lease.MaxShards] shards at most.
// Once the group runs it is like [Group.Apply].
func (g *Group) Add(c Controller) error {
	return g.Apply(context.Background(), Change{AddControllers: []Controller{c}})
}

// AddRole adds a role. Once the group runs it is like [Group.Apply].
func (g *Group) AddRole(r Role) error {
	return g.Apply(context.Background(), Change{AddRoles: []Role{r}})
}

// AddSchedule adds a schedule. Once the group runs it is like [Group.Apply].
func (g *Group) AddSchedule(s Schedule) error {
	return g.Apply(context.Background(), Change{AddSchedules: []Schedule{s}})
}

// Apply changes what the group does, before or while it runs: all of it, or nothing if
// it returns an error. While the group runs and a controller is added to a type that has
// one, or replaces it, it waits until the caches of the new one are complete, for 30 s at
// most; after that the change is made nevertheless, and the type's shards go to replicas
// that have what it takes. If ctx ends before, nothing is changed. Changes are applied one
// after the other.
//
// It does not wait until what was removed has returned: see [Controller.Done], which must
// not change the group itself.
func (g *Group) Apply(ctx context.Context, c Change) error {
	select {
	case g.changing <- struct{}{}:
		defer func() { <-g.changing }()
	case <-ctx.Done():
		return fmt.Errorf("group %q: %w", g.opts.Name, context.Cause(ctx))
	}
	if g.ended() {
		return fmt.Errorf("group %q: %w", g.opts.Name, errOver)
	}
	kept, removed, err := g.current().without(c)
	if err != nil {
		return err
	}
	added, err := g.made(kept, c)
	if err == nil {
		err = g.replace(ctx, kept, added, removed)
	}
	if err != nil {
		for _, one := range added.controllers {
			one.giveBack()
		}
	}
	return err
}

// replace puts what was added in the place of what was removed.
func (g *Group) replace(ctx context.Context, kept, added, removed roster) error {
	added.succeed(g.unfinished(removed))
	if g.running() {
		if err := awaitCaches(ctx, added.joining(g.current())); err != nil {
			return fmt.Errorf("group %q: %w", g.opts.Name, err)
		}
	}
	unused, err := g.put(kept, added, removed)
	for _, s := range unused {
		s.release()
	}
	return err
}

// put changes the roster. It returns what was removed before it has ever worked.
func (g *Group) put(kept, added, removed roster) (unused []*service, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over { // meanwhile
		return nil, fmt.Errorf("group %q: %w", g.opts.Name, errOver)
	}
	g.roster = roster{controllers: slices.Concat(kept.controllers, added.controllers), roles: slices.Concat(kept.roles, added.roles)}
	added.inherit(removed)
	for _, s := range removed.services() {
		s.end()
		if g.loops == nil {
			unused = append(unused, s)
		} else {
			g.dismiss(s)
		}
	}
	for t := range g.tenures {
		for _, d := range added.duties(t.term.record.Family) {
			t.take(d, g.opts.DrainGrace)
		}
	}
	g.observe(added.controllers)
	g.declining.changed(removed.roles, added.roles)
	g.attend(added.roles)
	return unused, nil
}

// dismiss gives back what a duty has borrowed, once it has ended; g.mu is held.
func (g *Group) dismiss(s *service) {
	g.retiring = append(g.retiring, s)
	base := g.base
	g.loops.Go(func() error {
		select {
		case <-s.ended:
		case <-base.Done():
			return nil // Run gives everything back
		}
		g.mu.Lock()
		g.retiring = slices.DeleteFunc(g.retiring, func(other *service) bool { return other == s })
		g.mu.Unlock()
		s.release()
		return nil
	})
}

// observe has those controllers look at their objects that want to; g.mu is held.
func (g *Group) observe(controllers []*controller) {
	for _, c := range controllers {
		if c.seen == nil || g.loops == nil || !c.service.enter() {
			continue
		}
		base := g.base
		g.loops.Go(func() error {
			defer c.service.leave()
			defer context.AfterFunc(c.service.over, c.seen.queue.ShutDown)()
			return c.seen.run(base, c.Observe)
		})
	}
}

// attend has what goes on for roles whether they are held or not; g.mu is held.
func (g *Group) attend(roles []*role) {
	for _, r := range roles {
		if r.OnNewLeader != nil {
			g.loopFor(r, func(ctx context.Context) error { return r.announceLoop(ctx, g.Chronicle()) })
		}
		if r.Gate != nil {
			g.loopFor(r, func(ctx context.Context) error { return r.gateLoop(ctx, g) })
		}
	}
}

// loopFor runs a loop for as long as the role belongs to the group, and that runs; g.mu
// is held.
func (g *Group) loopFor(r *role, loop func(context.Context) error) {
	if g.loops == nil || !r.service.enter() {
		return
	}
	base := g.base
	g.loops.Go(func() error {
		defer r.service.leave()
		ctx, cancel := context.WithCancel(base)
		defer cancel()
		defer context.AfterFunc(r.service.over, cancel)()
		return loop(ctx)
	})
}

// errOver: nothing can be added to what has ended.
var errOver = errors.New("the replica has left the group: make a new one")

// running tells whether the caches are being filled.
func (g *Group) running() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.loops != nil
}

func (g *Group) ended() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.over
}

// unfinished are the services that are to end, and those that have not yet.
func (g *Group) unfinished(removed roster) []*service {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Concat(g.retiring, removed.services())
}

// succeed makes every duty wait for those of its name.
func (r roster) succeed(unfinished []*service) {
	for _, s := range r.services() {
		for _, before := range unfinished {
			if before.name == s.name {
				s.before = append(s.before, before.ended)
			}
		}
	}
}

// joining are the controllers of types that another has, too: what they cannot do is
// not done of the whole type.
func (r roster) joining(others roster) []*controller {
	var all []*controller
	for _, c := range r.controllers {
		if slices.ContainsFunc(others.controllers, func(other *controller) bool { return other.family == c.family }) {
			all = append(all, c)
		}
	}
	return all
}

// inherit has the controllers remember the deletions that those of their name do.
func (r roster) inherit(removed roster) {
	for _, c := range r.controllers {
		for _, old := range removed.controllers {
			if old.service.name == c.service.name {
				old.mu.Lock()
				c.mu.Lock() // of nobody yet who could take them the other way round
				c.list.Inherit(&old.list)
				c.mu.Unlock()
				old.mu.Unlock()
			}
		}
	}
}

// awaitCaches waits until the caches of all are complete, or for long enough. It
// returns an error if ctx ends before.
func awaitCaches(ctx context.Context, controllers []*controller) error {
	incomplete := func(c *controller) bool { return !c.synced() }
	err := wait.PollUntilContextTimeout(ctx, carriedPause, cachePatience, true, func(context.Context) (bool, error) {
		return !slices.ContainsFunc(controllers, incomplete), nil
	})
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// without is the roster without what is to be removed.
func (r roster) without(c Change) (kept, removed roster, err error) {
	kept = roster{controllers: slices.Clone(r.controllers), roles: slices.Clone(r.roles)}
	for _, name := range c.RemoveControllers {
		if name.Name == "" {
			name.Name = name.Resource.String()
		}
		i := slices.IndexFunc(kept.controllers, func(have *controller) bool {
			return have.Name == name.Name && have.family == name.Resource.String()
		})
		if i < 0 {
			return kept, removed, fmt.Errorf("controller %q of %s: cannot be removed: there is none", name.Name, name.Resource)
		}
		removed.controllers = append(removed.controllers, kept.controllers[i])
		kept.controllers = slices.Delete(kept.controllers, i, i+1)
	}
	for _, name := range c.RemoveRoles {
		i := slices.IndexFunc(kept.roles, func(have *role) bool { return have.Name == name })
		if i < 0 {
			return kept, removed, fmt.Errorf("role %q: cannot be removed: there is none", name)
		}
		removed.roles = append(removed.roles, kept.roles[i])
		kept.roles = slices.Delete(kept.roles, i, i+1)
	}
	return kept, removed, nil
}

// made is what is to be added to a roster. All of it is checked before anything is
// made; if it cannot be, what was made is returned with the error.
func (g *Group) made(kept roster, c Change) (added roster, err error) {
	planned := roster{controllers: slices.Clone(kept.controllers), roles: slices.Clone(kept.roles)}
	controllers := slices.Clone(c.AddControllers)
	for i := range controllers {
		one := &controllers[i]
		one.setDefaults()
		if err := cmp.Or(one.validate(), planned.admitController(*one)); err != nil {
			return added, fmt.Errorf("controller %q: %w", one.Name, err)
		}
		planned.controllers = append(planned.controllers, &controller{Controller: *one, family: familyOf(one.Resource)})
	}
	roles := slices.Clone(c.AddRoles)
	for _, one := range c.AddSchedules {
		r, err := one.role(g)
		if err != nil {
			return added, fmt.Errorf("schedule %q: %w", one.Name, err)
		}
		roles = append(roles, r)
	}
	for _, one := range roles {
		if err := cmp.Or(one.validate(), planned.admitRole(one)); err != nil {
			return added, fmt.Errorf("role %q: %w", one.Name, err)
		}
		planned.roles = append(planned.roles, newRole(one))
	}
	added.roles = planned.roles[len(kept.roles):]
	for _, one := range controllers {
		made, err := newController(one, g.set, g.metrics)
		if err != nil {
			return added, err
		}
		added.controllers = append(added.controllers, made)
	}
	return added, nil
}
