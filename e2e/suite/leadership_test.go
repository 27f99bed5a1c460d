// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// leader is a role that programs beside the replicas have.
func leader(name string) plainRole {
	return plainRole{name: name, fields: map[string]any{"leadership": map[string]any{"grace": "100ms"}}}
}

// reported is the time for which a replica has said that it leads: from the end of the first answer that says so to the
// beginning of the last. At every instant in between it was the leader, if an epoch is one stretch of time.
type reported struct {
	pod      string
	epoch    int32
	from, to time.Time
	answers  int
}

// sampler asks replicas over and over whether they lead a role.
type sampler struct {
	role string

	mu      sync.Mutex
	reports map[string]*reported // by Pod and epoch
	asked   int
}

var leadingLine = regexp.MustCompile(`^(\S+) leads \S+: epoch (\d+),`)

// askPause leaves the machine to others: what is missed in between makes the stretches shorter, never longer.
const askPause = 5 * time.Millisecond

// askLoop asks one replica until ctx is done.
func (s *sampler) askLoop(ctx context.Context, address func() string) error {
	for tick := time.NewTicker(askPause); ctx.Err() == nil; <-tick.C {
		began := time.Now()
		status, body, err := local{address: address()}.ask(ctx, http.MethodGet, "/roles/"+s.role+"/leading")
		ended := time.Now()
		if err != nil {
			continue // it is stopped, or ends
		}
		s.mu.Lock()
		s.asked++
		s.mu.Unlock()
		switch status {
		case http.StatusServiceUnavailable:
		case http.StatusOK:
			said := leadingLine.FindStringSubmatch(body)
			if said == nil {
				return fmt.Errorf("the answer is %q", body)
			}
			s.note(said[1], said[2], began, ended)
		default:
			return fmt.Errorf("status %d: %s", status, body)
		}
	}
	return nil
}

func (s *sampler) note(pod, epoch string, began, ended time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := pod + " " + epoch
	r := s.reports[key]
	if r == nil {
		number, _ := strconv.ParseInt(epoch, 10, 32) // digits
		r = &reported{pod: pod, epoch: int32(number), from: ended}
		s.reports[key] = r
	}
	r.to = began
	r.answers++
}

// check fails the test if two replicas have led at once, or not in the order of their epochs. It returns how many terms there
// were.
func (s *sampler) check(t *testing.T) (terms int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*reported
	for _, r := range s.reports {
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *reported) int { return cmp.Compare(a.epoch, b.epoch) })
	for i, r := range all {
		t.Logf("epoch %d: %s said for %s that it leads, %d times", r.epoch, r.pod, max(0, r.to.Sub(r.from)).Round(time.Millisecond), r.answers)
		if i == 0 {
			continue
		}
		before := all[i-1]
		if r.epoch == before.epoch {
			t.Errorf("epoch %d: both %s and %s said that they lead", r.epoch, before.pod, r.pod)
		}
		// to is when the last answer was asked for: the earliest that it can be about.
		if r.from.Before(before.to) {
			t.Errorf("%s said that it leads (epoch %d) %s before %s did for the last time (epoch %d)",
				r.pod, r.epoch, before.to.Sub(r.from), before.pod, before.epoch)
		}
	}
	return len(all)
}

// While a role is given up, and its leaders are killed, stopped, cut off and ended, no two replicas ever answer at a time that
// they lead it. Whoever has given it up does not get it back at once.
func TestAtMostOneReplicaLeads(t *testing.T) {
	t.Parallel()
	const role = "leader"
	c := newCluster(t)
	truth := c.recordReigns(t)
	d := c.deployPlain(t, leader(role))
	d.launch(t, "a", "b", "c")
	d.await(t, "the role to be held", fleet.Held(1))

	s := &sampler{role: role, reports: map[string]*reported{}}
	ctx, stop := context.WithCancel(t.Context())
	var asking errgroup.Group
	addresses := newAddresses(t, d)
	for _, r := range d.Replicas() {
		asking.Go(func() error { return s.askLoop(ctx, func() string { return addresses.of(r.Name()) }) })
	}
	for range 5 {
		d.yield(t, truth, role)
	}
	for _, harm := range strains() {
		d.await(t, "three replicas to be there", fleet.Spread(1, 3))
		victim := d.awaitHolder(t, role)
		harm.do(t, d, victim)
		if !harm.atOnce {
			d.await(t, "another to hold the role", func(s status.Status) error {
				if holder, held := fleet.HolderOf(s, role); !held || holder == victim.Name() {
					return fmt.Errorf("it is held by %q", holder)
				}
				return nil
			})
		}
		harm.undo(t, d, victim)
		addresses.learn(t, victim)
	}
	d.await(t, "three replicas to be there", fleet.Spread(1, 3))
	d.yield(t, truth, role)
	d.checkOldShape(t, role)
	stop()
	if err := asking.Wait(); err != nil {
		t.Error(err)
	}
	truth.catchUp(t, c)
	terms := s.check(t)
	t.Logf("%d answers, of %d terms in all", s.asked, terms)
	if held := len(truth.of(role)); terms < held/2 {
		t.Errorf("only %d terms were noticed of the %d changes of the Lease", terms, held)
	}
}

// addresses are where the local endpoints are now.
type addresses struct {
	mu sync.Mutex
	by map[string]string
}

func newAddresses(t *testing.T, d *wiredDeployment) *addresses {
	t.Helper()
	a := &addresses{by: map[string]string{}}
	for _, r := range d.Replicas() {
		a.learn(t, r)
	}
	return a
}

func (a *addresses) of(pod string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.by[pod]
}

func (a *addresses) learn(t *testing.T, r *fleet.Replica) {
	t.Helper()
	address := localOf(t, r).address
	a.mu.Lock()
	defer a.mu.Unlock()
	a.by[r.Name()] = address
}

// yield has the leader give the role up, and fails the test if it, or a Pod that does not lead, does what it should not.
func (d *wiredDeployment) yield(t *testing.T, truth *reigns, role string) {
	t.Helper()
	truth.catchUp(t, d.cluster)
	before := truth.of(role)
	var yielder *fleet.Replica
	eventually(t, "somebody leads and gives up", func() error {
		yielder = nil
		s, err := d.Status(t.Context())
		if err != nil {
			return err
		}
		for _, r := range d.Replicas() {
			// The role may have gone meanwhile.
			code, body, err := localOf(t, r).ask(t.Context(), http.MethodPost, "/roles/"+role+"/yield?backoff=5s")
			if err != nil {
				return err
			}
			switch code {
			case http.StatusAccepted:
				yielder = r
				return nil
			case http.StatusConflict:
			default:
				return fmt.Errorf("status %d: %s", code, body)
			}
		}
		holder, _ := fleet.HolderOf(s, role)
		return fmt.Errorf("nobody does; %q holds the role", holder)
	})
	eventually(t, "another leads", func() error {
		truth.catchUp(t, d.cluster)
		for _, r := range truth.of(role)[len(before):] {
			if r.holder == "" {
				continue
			}
			if id, err := lease.ParseIdentity(r.holder); err != nil || id.UID == yielder.UID() {
				t.Fatalf("%s has given the role up, and then %q got it (epoch %d)", yielder.Name(), r.holder, r.epoch)
			}
			return nil
		}
		return errors.New("nobody has got the role")
	})
}

// checkOldShape demands that GET / names the leader, on every replica.
func (d *wiredDeployment) checkOldShape(t *testing.T, role string) {
	t.Helper()
	for _, r := range d.Replicas() {
		eventually(t, "GET / on "+r.Name()+" names the leader", func() error {
			code, body, err := localOf(t, r).ask(t.Context(), http.MethodGet, "/")
			if err != nil {
				return err
			}
			var answer map[string]any
			if err := json.Unmarshal([]byte(body), &answer); err != nil {
				return err
			}
			if want := d.awaitHolder(t, role).Name(); code != http.StatusOK || len(answer) != 1 || answer["name"] != want {
				return fmt.Errorf("status %d: %s; want the name %s", code, body, want)
			}
			return nil
		})
	}
}
