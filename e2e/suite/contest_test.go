// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/shardctl/shardctl/pkg/lease"
	"github.com/shardctl/shardctl/pkg/shard"
)

// contest is about one Lease, for which replicas and electors of client-go contend.
type contest struct {
	*cluster
	electors []*elector

	mu     sync.Mutex
	writes []*coordinationv1.Lease // all that the Lease ever was, oldest first
	// working are those who act as the holder, by identity, for as long as the function says so.
	working map[string]func() bool
	terms   []*shard.Term // all that the replicas had
	overlap []string      // who worked beside whom
}

func newContest(t *testing.T) *contest {
	t.Helper()
	c := &contest{cluster: newCluster(t), working: map[string]func() bool{}}
	c.createNamespace(t)
	c.install(t, c.group)
	c.record(t)
	return c
}

// record keeps everything that is written to the Lease, from now on.
func (c *contest) record(t *testing.T) {
	t.Helper()
	leases := c.kube.CoordinationV1().Leases(c.namespace)
	now, err := leases.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := leases.Watch(t.Context(), metav1.ListOptions{
		ResourceVersion: now.ResourceVersion,
		FieldSelector:   fields.OneTermEqualSelector(metav1.ObjectNameField, lease.ShardLeaseName(c.group, onlyShard)).String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for ev := range w.ResultChan() {
			if l, ok := ev.Object.(*coordinationv1.Lease); ok {
				c.mu.Lock()
				c.writes = append(c.writes, l)
				c.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		w.Stop()
		running.Wait()
	})
}

// history is all that the Lease ever said, oldest first.
func (c *contest) history() []lease.Shard {
	c.mu.Lock()
	defer c.mu.Unlock()
	history := make([]lease.Shard, len(c.writes))
	for i, l := range c.writes {
		history[i] = lease.DecodeShard(l)
	}
	return history
}

func (c *contest) labels() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes[len(c.writes)-1].Labels
}

// enter says that somebody works from now on, until it is over or told to stop. Whoever else does is taken down.
func (c *contest) enter(identity string, goesOn func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.working[identity] = goesOn
	c.look()
}

func (c *contest) exit(identity string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.working, identity)
}

// look takes down who works beside whom; c.mu is held.
func (c *contest) look() {
	var all []string
	for _, identity := range slices.Sorted(maps.Keys(c.working)) {
		if c.working[identity]() {
			all = append(all, identity)
		}
	}
	if len(all) > 1 {
		c.overlap = append(c.overlap, strings.Join(all, " and "))
	}
}

func (c *contest) works(identity string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	goesOn := c.working[identity]
	return goesOn != nil && goesOn()
}

// checkExclusion fails the test if two work, or did when one of them began.
func (c *contest) checkExclusion(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.look()
	if len(c.overlap) > 0 {
		t.Fatalf("at the same time: %s", strings.Join(c.overlap, "; "))
	}
}

func (c *contest) replicaTerms() []*shard.Term {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.terms)
}

// process is what can be cut off from the API server for good, as if it had crashed, and whose requests are counted.
type process struct {
	name     string
	requests atomic.Int64 // on Leases
	crashed  atomic.Bool
}

var errCrashed = errors.New("this process has crashed")

// config is that of the process' clients.
func (p *process) config() *rest.Config {
	config := controlPlane.Config()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if p.crashed.Load() {
				return nil, errCrashed
			}
			if strings.Contains(r.URL.Path, "/leases") {
				p.requests.Add(1)
			}
			return next.RoundTrip(r)
		})
	})
	return config
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip is part of [http.RoundTripper].
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// replica is one of a group whose only shard is a role.
type replica struct {
	process
	// leave tells it to leave, and result waits until it has.
	leave  context.CancelFunc
	result func() error
	lived  time.Duration // once there is a result
}

func (c *contest) startReplica(t *testing.T, name string) *replica {
	t.Helper()
	return c.startReplicaIn(t, lease.LeaseMode, name)
}

func (c *contest) startReplicaIn(t *testing.T, mode lease.Mode, name string) *replica {
	t.Helper()
	r, began := &replica{process: process{name: name}}, time.Now()
	group, err := shard.NewGroup(r.config(), shard.GroupOptions{
		Name: c.group, Namespace: c.namespace, Pod: name, Timings: timings, Mode: mode, LeaveTimeout: 15 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := group.AddRole(shard.Role{Name: onlyShard, Run: c.work}); err != nil {
		t.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	var running errgroup.Group
	running.Go(func() error {
		defer func() { r.lived = time.Since(began) }()
		return group.Run(ctx)
	})
	r.leave, r.result = leave, sync.OnceValue(running.Wait)
	t.Cleanup(func() {
		r.leave()
		_ = r.result() // a test that cares has asked before
	})
	return r
}

// work is the role: it works for as long as its term is valid, and stops when it is told to.
func (c *contest) work(ctx context.Context) error {
	term, ok := shard.TermFrom(ctx)
	if !ok {
		return errors.New("a role without a term")
	}
	c.mu.Lock()
	c.terms = append(c.terms, term)
	c.mu.Unlock()
	c.enter(term.Identity(), term.Valid)
	defer c.exit(term.Identity())
	<-ctx.Done()
	return nil
}

// is tells whether an identity is one of the replica's sessions.
func (r *replica) is(identity string) bool { return strings.HasPrefix(identity, r.name+"_") }

// crash cuts it off: what it holds is held until its validity ends, and is not given back.
func (r *replica) crash() { r.crashed.Store(true) }

// elector is a process with client-go's leaderelection.
type elector struct {
	process
	over    atomic.Bool // it works no longer
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// retryPeriod is how often an elector looks at the Lease.
const retryPeriod = 500 * time.Millisecond

func (c *contest) startElector(t *testing.T, name string, releases bool) *elector {
	t.Helper()
	e := &elector{process: process{name: name}}
	client, err := kubernetes.NewForConfig(e.config())
	if err != nil {
		t.Fatal(err)
	}
	le, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Name: lease.ShardLeaseName(c.group, onlyShard), Namespace: c.namespace},
			Client:     client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: name},
		},
		LeaseDuration:   timings.LeaseDuration,
		RenewDeadline:   timings.LeaseDuration * 2 / 3,
		RetryPeriod:     retryPeriod,
		ReleaseOnCancel: releases,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { c.enter(name, func() bool { return !e.over.Load() }) },
			OnStoppedLeading: func() { e.over.Store(true) },
		},
	})
	if err != nil {
		t.Fatal(fmt.Errorf("elector %s: %w", name, err))
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	e.running.Go(func() { le.Run(ctx) })
	c.electors = append(c.electors, e)
	t.Cleanup(e.leave)
	return e
}

func (e *elector) is(identity string) bool { return identity == e.name }

// leave ends its work first, as client-go asks of those who release on cancellation, and then the election.
func (e *elector) leave() {
	e.over.Store(true)
	e.cancel()
	e.running.Wait()
}

// crash ends it without another request.
func (e *elector) crash() {
	e.over.Store(true)
	e.crashed.Store(true)
	e.cancel()
}
