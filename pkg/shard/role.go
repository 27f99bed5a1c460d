// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package shard

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/klog/v2"
)

// Role is work that is done on exactly one replica, without a resource type.
type Role struct {
	// Name is the shard's name: a DNS label.
	Name string
	// Run works until its context is cancelled, on the holder of the shard
	// alone. If it returns before, it is started again: after a second, or if it
	// failed with back-off up to a minute. The context carries the [Term], and is cancelled as soon as the shard is
	// to be given away; that waits until Run has returned, and meanwhile the term goes on.
	Run func(ctx context.Context) error
	// Gate, if set, says whether this replica is fit for the role. Default: it always is.
	Gate *Gate
	// OnGranted, if set, is called at the beginning of a term, before Run. OnRevoked is
	// called at its end, once Run has returned for good, with the cause. Each call comes
	// after the one before has returned.
	OnGranted func(*Term)
	OnRevoked func(*Term, error)
	// OnNewLeader, if set, is called on every replica, whether it leads or not: with who
	// leads the role when it looks first, and with every later leader, in order. A role
	// that has no leader for a while is not told of. It has to return soon: the end of
	// [Group.Run] waits for it.
	OnNewLeader func(Leader)
	// Done, if set, is called once when Run neither runs nor will any more: after the
	// role was removed, or at the end of [Group.Run].
	Done func()
}

const (
	minRolePause = time.Second
	maxRolePause = time.Minute
)

func (r Role) validate() error {
	var errs []error
	if problems := validation.IsDNS1123Label(r.Name); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("name: %q is not allowed: %s", r.Name, strings.Join(problems, ", ")))
	}
	if r.Run == nil {
		errs = append(errs, errors.New("run: is required"))
	}
	if r.Gate != nil {
		errs = append(errs, r.Gate.validate())
	}
	return errors.Join(errs...)
}

// role is a Role at work.
type role struct {
	Role
	service  *service
	problems *problems
	gate     *gate // nil if it has none
	// running is taken while Run runs, so that a new term waits for the work
	// of an old one in this process.
	running chan struct{}
}

func newRole(r Role) *role {
	return &role{Role: r, service: newService("role "+r.Name, orNothing(r.Done)), problems: newProblems(), gate: newGate(r.Gate), running: make(chan struct{}, 1)}
}

func (r *role) of() *service { return r.service }

// lead runs the role until the tenure stops it. There is nothing between two
// keys where a role could stop by itself, so its context ends with the
// tenure's first word.
func (r *role) lead(t *stint) {
	ctx := t.taking
	if t.id.Bucket.Of > 1 {
		<-ctx.Done() // of a type that had this name, and was divided: the role is in one piece
		return
	}
	defer r.problems.clear(t.id)
	select {
	case r.running <- struct{}{}:
		defer func() { <-r.running }()
	case <-ctx.Done():
		return
	}
	if r.OnGranted != nil {
		r.call(ctx, "OnGranted", func() { r.OnGranted(t.term) })
	}
	r.runUntil(ctx, t)
	if r.OnRevoked != nil {
		r.call(ctx, "OnRevoked", func() { r.OnRevoked(t.term, context.Cause(ctx)) })
	}
}

// runUntil runs the role again and again, until ctx is done.
func (r *role) runUntil(ctx context.Context, t *stint) {
	for pause := minRolePause; ctx.Err() == nil; {
		t.working()
		began := time.Now()
		err := r.run(ctx)
		if ctx.Err() != nil {
			return
		}
		key := Key{Name: r.Name}
		if err == nil || time.Since(began) > maxRolePause {
			pause = minRolePause
		}
		if err != nil {
			r.problems.add(t.id, key, err)
			klog.FromContext(ctx).Error(err, "Role failed", "role", r.Name, "again", pause)
		} else {
			r.problems.solved(key)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		if err != nil {
			pause = min(2*pause, maxRolePause)
		}
	}
}

func (r *role) run(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in role %s: %v\n%s", r.Name, p, debug.Stack())
		}
	}()
	return r.Run(ctx)
}
