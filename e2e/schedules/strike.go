// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package schedules

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/e2e/netproxy"
	"github.com/shardctl/shardctl/internal/schedule"
)

// Strike is harm that is done at one step of a tick's way.
type Strike struct {
	Name string
	// Delivery is that of the schedule which is hit; empty if none in particular is.
	Delivery schedule.Delivery
	// Want is a fate that some of the ticks hit must have; empty for any.
	Want Fate

	moment moment
	// unheard has the victim's network carry no answers from before the moment on; unsaid has it carry nothing that the victim
	// says, from the beginning of the call on.
	unheard, unsaid bool
	harm            harm
	// all is a strike that has no moment.
	all func(context.Context, *striker) error
}

// harm is what is done to a replica, and how it ends.
type harm struct {
	do   func(*striker) error
	undo func(context.Context, *striker) error
}

// Strikes are all there are. With each delivery a replica is killed, stopped and cut off at every step: when its claim is in
// etcd and it has not heard of that; when it may have heard; when the hook is called; when the hook has answered and
// nothing is on record; when all is on record. And all suffer when API servers and replicas are restarted.
func Strikes() []Strike {
	var all []Strike
	for _, of := range []struct {
		delivery                          schedule.Delivery
		unheard, broken, unfinished, done Fate
	}{
		{schedule.AtMostOnce, Lost, BrokenOff, Finished, Finished},
		{schedule.AtLeastOnce, LateFirst, Repeated, Repeated, Finished},
	} {
		all = append(all,
			Strike{Name: "kill, claim not heard of", Want: of.unheard, moment: onClaim, unheard: true, harm: killing},
			Strike{Name: "kill, claimed", moment: onClaim, harm: killing},
			Strike{Name: "kill, called", Want: of.broken, moment: onCall, harm: killing},
			Strike{Name: "kill, answered", Want: of.unfinished, moment: onAnswer, unsaid: true, harm: killingSoon},
			Strike{Name: "kill, recorded", Want: of.done, moment: onRecord, harm: killing},
			Strike{Name: "stop, claim not heard of", Want: of.unheard, moment: onClaim, unheard: true, harm: stopping},
			Strike{Name: "stop, called", Want: of.unfinished, moment: onCall, harm: stopping},
			Strike{Name: "cut off, claim not heard of", Want: of.unheard, moment: onClaim, unheard: true, harm: cutting},
			Strike{Name: "cut off, called", Want: of.unfinished, moment: onCall, harm: cutting},
		)
		for i := range all {
			if all[i].Delivery == "" {
				all[i].Delivery = of.delivery
			}
		}
	}
	return append(all,
		Strike{Name: "kill, any time", all: killAnyTime},
		Strike{Name: "API server restarted", all: func(ctx context.Context, s *striker) error { return s.cluster.RestartAPIServer(ctx) }},
		Strike{Name: "API server killed", all: func(ctx context.Context, s *striker) error { return s.cluster.KillAPIServer(ctx) }},
		Strike{Name: "rolling restart", all: roll},
	)
}

// The three kinds of harm. A replica that was killed comes back at once every other time; whoever was stopped or cut off
// comes back when all has been taken from it.
var (
	killing = harm{
		do: func(s *striker) error { return s.victim.Kill() },
		undo: func(ctx context.Context, s *striker) error {
			s.network().Cut() // or what it has said last would arrive now
			s.network().Heal()
			if s.restarts++; s.restarts%2 == 0 {
				if err := s.awaitNotHolding(ctx, s.victim); err != nil {
					return err
				}
			}
			return s.victim.Restart()
		},
	}
	killingSoon = harm{
		do: func(s *striker) error {
			if err := sleep(context.Background(), time.Duration(s.chance.Int64N(int64(hesitation)))); err != nil {
				return err
			}
			return killing.do(s)
		},
		undo: killing.undo,
	}
	stopping = harm{
		do: func(s *striker) error { return s.victim.Pause() },
		undo: func(ctx context.Context, s *striker) error {
			err := s.awaitNotHolding(ctx, s.victim)
			s.network().Heal() // not before: it may take a moment until all of the process stands still
			return errors.Join(err, s.victim.Resume())
		},
	}
	cutting = harm{
		do: func(s *striker) error {
			s.network().Hold(true, true)
			return nil
		},
		undo: func(ctx context.Context, s *striker) error {
			defer s.network().Heal()
			return s.awaitNotHolding(ctx, s.victim)
		},
	}
)

const (
	// strikeLimit bounds how long one strike takes, with all that it needs to be overcome.
	strikeLimit = 3 * time.Minute
	// momentLimit is how long a trap waits. Then it is set again, for another term.
	momentLimit = 10 * time.Second
	// quiet is how long before a tick little is under way of schedules that have one each second.
	quiet = 300 * time.Millisecond
	// hesitation is the longest time from an answer to the kill.
	hesitation = 50 * time.Millisecond
	// anyTime is how long at most until the kill that has no moment.
	anyTime = time.Second
)

// striker does one strike after the other.
type striker struct {
	*group
	leases   coordinationv1client.LeaseInterface
	chance   *rand.Rand
	restarts int // of replicas that were killed, so far

	victim *fleet.Replica
}

func (s *striker) network() *netproxy.Proxy { return s.cluster.Network(s.victim.Name()) }

// strike does the harm, ends it, and waits until it is overcome. It returns what was hit; nothing, if the strike has no moment.
func (s *striker) strike(ctx context.Context, one Strike) (hits []Hit, err error) {
	ctx, cancel := context.WithTimeout(ctx, strikeLimit)
	defer cancel()
	if one.all != nil {
		return nil, errors.Join(one.all(ctx, s), s.awaitProgress(ctx))
	}
	for ctx.Err() == nil {
		hit, sprung, err := s.try(ctx, one)
		if err != nil {
			return nil, err
		}
		if !sprung {
			continue
		}
		if err := one.harm.undo(ctx, s); err != nil {
			return nil, err
		}
		return []Hit{hit}, s.awaitProgress(ctx)
	}
	return nil, fmt.Errorf("no moment was found: %w", context.Cause(ctx))
}

// try sets a trap for some replica, and waits for it to spring.
func (s *striker) try(ctx context.Context, one Strike) (hit Hit, sprung bool, err error) {
	t := s.choose(one)
	if t == nil {
		return hit, false, s.awaitProgress(ctx)
	}
	defer func() {
		if !sprung {
			s.network().Heal()
		}
	}()
	if one.unheard {
		if err := s.holdAnswers(ctx); err != nil {
			return hit, false, err
		}
	}
	if one.unsaid {
		network := s.network()
		t.onCall = func() { network.Hold(true, false) }
	}
	if one.moment == onClaim {
		// What is on record by now may be on record and heard of.
		if t.after, err = s.revision(ctx); err != nil {
			return hit, false, err
		}
	}
	s.traps.arm(t)
	patience := time.NewTimer(momentLimit)
	defer patience.Stop()
	select {
	case r := <-t.sprung:
		return r.hit, true, r.err
	case <-patience.C:
	case <-ctx.Done():
	}
	if s.traps.disarm(t) {
		return hit, false, nil
	}
	r := <-t.sprung
	return r.hit, true, r.err
}

// choose makes a trap for all busy schedules of the delivery that some replica holds; nil if no replica holds any just now.
func (s *striker) choose(one Strike) *trap {
	candidates := slices.DeleteFunc(slices.Clone(s.roles), func(r Role) bool {
		return !r.isBusy() || r.Delivery != one.Delivery || s.holder(r.Name) == nil || !s.holder(r.Name).Running()
	})
	if len(candidates) == 0 {
		return nil
	}
	s.victim = s.holder(candidates[s.chance.IntN(len(candidates))].Name)
	t := &trap{moment: one.moment, terms: map[string]int32{}, spring: func(Hit) error { return one.harm.do(s) }}
	for _, r := range candidates {
		if now := s.chronicle.now(r.Name); s.chronicle.holder(r.Name) == s.victim.Name() {
			t.terms[r.Name] = now.Epoch
		}
	}
	return t
}

// revision is up to where everything has been written that was written before.
func (s *striker) revision(ctx context.Context) (int64, error) {
	list, err := s.leases.List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("revision of etcd: %w", err)
	}
	return strconv.ParseInt(list.ResourceVersion, 10, 64)
}

// holdAnswers has the victim hear nothing any more, from a moment on at which it waits for little.
func (s *striker) holdAnswers(ctx context.Context) error {
	if err := betweenTicks(ctx); err != nil {
		return err
	}
	s.network().Hold(false, true)
	return nil
}

// betweenTicks waits for a moment shortly before the next second begins, when little is under way.
func betweenTicks(ctx context.Context) error {
	now := time.Now()
	moment := now.Truncate(time.Second).Add(time.Second - quiet)
	if moment.Before(now) {
		moment = moment.Add(time.Second)
	}
	return sleep(ctx, time.Until(moment))
}

// killAnyTime kills a replica that holds something, and has it come back.
func killAnyTime(ctx context.Context, s *striker) error {
	if err := sleep(ctx, time.Duration(s.chance.Int64N(int64(anyTime)))); err != nil {
		return err
	}
	all := s.fleet.Replicas()
	s.victim = all[s.chance.IntN(len(all))]
	if err := killing.do(s); err != nil {
		return err
	}
	return killing.undo(ctx, s)
}

// roll has every replica end in order and start again, one after the other.
func roll(ctx context.Context, s *striker) error {
	for _, r := range s.fleet.Replicas() {
		if err := terminate(ctx, r); err != nil {
			return err
		}
		if err := r.Restart(); err != nil {
			return err
		}
		if err := s.awaitProgress(ctx); err != nil {
			return err
		}
	}
	return nil
}

// terminate ends a replica in order.
func terminate(ctx context.Context, r *fleet.Replica) error {
	exit, err := r.Terminate(ctx)
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("replica %s ended with %s when it was told to", r.Name(), exit.State)
	}
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
