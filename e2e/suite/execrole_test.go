// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/child"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// childGrace is how long a child that does not end when it is asked to lives on.
const childGrace = 3 * time.Second

// nursery is where the children of a test write their journals, a directory for each role.
type nursery struct {
	dir   string
	roles []plainRole
}

// newNursery makes roles of these kinds, two of each.
func newNursery(t *testing.T, kinds ...string) *nursery {
	t.Helper()
	n := &nursery{dir: t.TempDir()}
	for _, how := range kinds {
		for i := range 2 {
			n.add(t, fmt.Sprintf("%s-%d", how, i), how)
		}
	}
	return n
}

func (n *nursery) add(t *testing.T, name, how string) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(n.dir, name), 0o700); err != nil {
		t.Fatal(err)
	}
	n.roles = append(n.roles, plainRole{name: name, fields: map[string]any{"exec": map[string]any{
		"command":          []any{os.Args[0]},
		"env":              []any{map[string]any{"name": childEnv, "value": how + " " + n.dir}},
		"terminationGrace": childGrace.String(),
		"restart":          map[string]any{"initial": "200ms", "max": "1s"},
	}}})
}

// life is what one child has written.
type life struct {
	role      string
	pid       int
	epoch     int
	from, to  time.Duration // uptimes of the first and the last line
	obeyed    bool
	forbidden bool // the lock was taken
}

// lives returns what all children of a role have written, by their beginning.
func (n *nursery) lives(t *testing.T, role string) []*life {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(n.dir, role, "journal"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	byPID := map[int]*life{}
	var all []*life
	for line := range bytes.Lines(text) {
		var d deed
		if err := json.Unmarshal(line, &d); err != nil {
			t.Fatalf("journal of %s: %v in %q", role, err, line)
		}
		l := byPID[d.PID]
		if l == nil {
			l = &life{role: role, pid: d.PID, epoch: d.Epoch, from: d.At}
			byPID[d.PID] = l
			all = append(all, l)
		}
		l.to = d.At
		l.obeyed = l.obeyed || d.What == didEnd
		l.forbidden = l.forbidden || d.What == notAlone
	}
	slices.SortFunc(all, func(a, b *life) int { return cmp.Compare(a.from, b.from) })
	return all
}

// awaitAlive waits until each role has a child that has written something after an instant, and returns them.
func (n *nursery) awaitAlive(t *testing.T, after time.Duration) map[string]*life {
	t.Helper()
	alive := map[string]*life{}
	eventually(t, "every role has a child", func() error {
		for _, r := range n.roles {
			all := n.lives(t, r.name)
			if len(all) == 0 || all[len(all)-1].to <= after {
				return fmt.Errorf("role %s has none", r.name)
			}
			alive[r.name] = all[len(all)-1]
		}
		return nil
	})
	return alive
}

// check fails the test if two children of a role were alive at a time, and returns how many there were in all.
func (n *nursery) check(t *testing.T) (children int) {
	t.Helper()
	for _, r := range n.roles {
		all := n.lives(t, r.name)
		children += len(all)
		for i, l := range all {
			if l.forbidden {
				t.Errorf("role %s: process %d (epoch %d) began while another had the lock", r.name, l.pid, l.epoch)
			}
			if i > 0 && l.from <= all[i-1].to {
				t.Errorf("role %s: process %d (epoch %d) began %s before the last word of process %d (epoch %d)",
					r.name, l.pid, l.epoch, all[i-1].to-l.from, all[i-1].pid, all[i-1].epoch)
			}
		}
	}
	return children
}

// strain is harm to a replica with children. It returns once the harm is done; undo lets the replica take part again.
type strain struct {
	name string
	do   func(*testing.T, *wiredDeployment, *fleet.Replica)
	undo func(*testing.T, *wiredDeployment, *fleet.Replica)
	// orderly: the children are asked to end, and have all the time that they may take.
	orderly bool
	// atOnce has it take part again at once: so what it had may stay with it.
	atOnce bool
}

func strains() []strain {
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	restart := func(t *testing.T, _ *wiredDeployment, r *fleet.Replica) {
		t.Helper()
		must(t, r.Restart())
	}
	kill := func(t *testing.T, _ *wiredDeployment, r *fleet.Replica) {
		t.Helper()
		must(t, r.Kill())
	}
	return []strain{
		{name: "killed", do: kill, undo: restart},
		{name: "killed and restarted at once", do: kill, undo: restart, atOnce: true},
		{
			name: "stopped",
			do: func(t *testing.T, _ *wiredDeployment, r *fleet.Replica) {
				t.Helper()
				must(t, r.Pause())
			},
			undo: func(t *testing.T, _ *wiredDeployment, r *fleet.Replica) {
				t.Helper()
				must(t, r.Resume())
			},
		},
		{
			name: "cut off",
			do: func(t *testing.T, d *wiredDeployment, r *fleet.Replica) {
				t.Helper()
				d.network(r).Hold(true, true)
			},
			undo: func(t *testing.T, d *wiredDeployment, r *fleet.Replica) {
				t.Helper()
				d.network(r).Heal()
			},
		},
		{
			name: "told to end",
			do: func(t *testing.T, d *wiredDeployment, r *fleet.Replica) {
				t.Helper()
				d.terminate(t, r)
			},
			undo: restart, orderly: true,
		},
	}
}

// Replicas are killed, stopped, cut off and restarted, while they run programs that obey, that do not, and that have processes
// of their own. The programs themselves find out whether they are alone: by a lock that all descendants have too, and by the
// clock of the machine.
func TestNeverTwoChildrenOfARole(t *testing.T) {
	t.Parallel()
	n := newNursery(t, obedient, stubborn, family)
	d := newCluster(t).deployPlain(t, n.roles...)
	d.launch(t, "a", "b")
	n.awaitShared(t, d)

	hit := map[string]bool{}
	for _, s := range strains() {
		before, children := n.awaitShared(t, d)
		victim := d.mostVaried(before)
		given := fleet.ShardsOf(before, victim.Name())
		s.do(t, d, victim)
		if s.atOnce {
			s.undo(t, d, victim)
		}
		for _, role := range given {
			n.awaitDead(t, children[role], victim)
		}
		if !s.atOnce {
			d.await(t, "the other to hold all roles", fleet.All(fleet.Gone(victim.Name()), fleet.Spread(len(n.roles), 1)))
			n.awaitAlive(t, uptime())
			s.undo(t, d, victim)
		}
		next := n.awaitAlive(t, uptime())
		for _, role := range given {
			was, is := children[role], next[role]
			if is.epoch <= was.epoch || is.pid == was.pid {
				t.Errorf("%s: role %s went on as process %d of epoch %d: the fault was none", s.name, role, is.pid, is.epoch)
			}
			end := n.life(t, role, was.pid)
			if s.orderly && !end.obeyed && !strings.HasPrefix(role, stubborn) {
				t.Errorf("%s: the child of role %s was not asked to end, or had no time to", s.name, role)
			}
			t.Logf("%s: role %s had no child for %s", s.name, role, (n.next(t, role, was.pid).from - end.to).Round(time.Millisecond))
			hit[s.name+" "+strings.TrimRight(role, "-01")] = true
		}
	}
	n.roll(t, d)
	for _, r := range d.Replicas() {
		d.terminate(t, r)
	}
	t.Logf("there were %d children; this was done to these: %q", n.check(t), slices.Sorted(maps.Keys(hit)))
}

// awaitShared waits until both replicas have their share, and each role a child of the term that its Lease tells of.
func (n *nursery) awaitShared(t *testing.T, d *wiredDeployment) (s status.Status, children map[string]*life) {
	t.Helper()
	began := uptime()
	eventually(t, "both replicas share the roles, and all children are at work", func() (err error) {
		if s, err = d.Status(t.Context()); err != nil {
			return err
		}
		if err := fleet.Spread(len(n.roles), 2)(s); err != nil {
			return err
		}
		children = map[string]*life{}
		for _, shard := range s.Shards {
			all := n.lives(t, shard.Name)
			if len(all) == 0 || all[len(all)-1].to <= began || int32(all[len(all)-1].epoch) != shard.Epoch {
				return fmt.Errorf("role %s has no child in epoch %d", shard.Name, shard.Epoch)
			}
			children[shard.Name] = all[len(all)-1]
		}
		return nil
	})
	return s, children
}

// mostVaried is the replica that holds roles of the most kinds.
func (d *wiredDeployment) mostVaried(s status.Status) *fleet.Replica {
	kinds := func(r *fleet.Replica) int {
		kinds := map[string]bool{}
		for _, role := range fleet.ShardsOf(s, r.Name()) {
			kinds[strings.TrimRight(role, "-01")] = true
		}
		return len(kinds)
	}
	return slices.MaxFunc(d.Replicas(), func(a, b *fleet.Replica) int { return cmp.Compare(kinds(a), kinds(b)) })
}

// roll restarts every replica in order.
func (n *nursery) roll(t *testing.T, d *wiredDeployment) {
	t.Helper()
	for _, r := range d.Replicas() {
		d.terminate(t, r)
		if err := r.Restart(); err != nil {
			t.Fatal(err)
		}
		n.awaitShared(t, d)
	}
}

// awaitDead waits until a child and all that it has borne are dead: the process is gone, and if nobody else has begun yet the
// lock is free.
func (n *nursery) awaitDead(t *testing.T, l *life, of *fleet.Replica) {
	t.Helper()
	eventually(t, fmt.Sprintf("the child %d of role %s on %s is dead", l.pid, l.role, of.Name()), func() error {
		if err := unix.Kill(l.pid, 0); !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("there is a process of its number: %v", err)
		}
		return nil
	})
}

func (n *nursery) life(t *testing.T, role string, pid int) *life {
	t.Helper()
	all := n.lives(t, role)
	return all[slices.IndexFunc(all, func(l *life) bool { return l.pid == pid })]
}

// next is the child after that one.
func (n *nursery) next(t *testing.T, role string, pid int) *life {
	t.Helper()
	all := n.lives(t, role)
	return all[slices.IndexFunc(all, func(l *life) bool { return l.pid == pid })+1]
}

// A program that fails is started again and again; how it ended and what it said last is on record, also for the next holder,
// and shardctl status shows it.
func TestEndOfAProgramIsOnRecord(t *testing.T) {
	t.Parallel()
	n := &nursery{dir: t.TempDir()}
	n.add(t, brittle, brittle)
	d := newCluster(t).deployPlain(t, n.roles...)
	d.launch(t, "a", "b")
	d.awaitRecord(t, brittle, func(r child.Record) bool { return r.ExitCode == brittleEnd && r.Restarts > 0 })
	first := d.awaitHolder(t, brittle)
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}
	r := d.awaitRecord(t, brittle, func(r child.Record) bool { return r.Pod != first.Name() && r.Pod != "" })
	if r.ExitCode != brittleEnd || r.Signal != "" || r.Error != "" || !slices.Contains(r.Tail, "there is no paper left") {
		t.Errorf("the record is %+v, want exit code %d and what was printed last", r, brittleEnd)
	}
	shown, err := d.Command(t.Context(), "status", "--group="+d.Group(), "--output=wide")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"exit code 3", "there is no paper left"} {
		if !strings.Contains(shown, want) {
			t.Errorf("status -o wide does not tell of %q:\n%s", want, shown)
		}
	}
	now, err := d.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e := now.Shards[0].Exec; e == nil || e.ExitCode != brittleEnd || !slices.Equal(e.Tail, r.Tail) {
		t.Errorf("the status is %+v, want what the record says", e)
	}
}

// awaitRecord waits until the ledger of an exec role tells of such an end.
func (d *deployment) awaitRecord(t *testing.T, role string, is func(child.Record) bool) (found child.Record) {
	t.Helper()
	eventually(t, "there is a record of the program's end", func() error {
		for _, l := range d.leases(t, lease.KindShard) {
			if l.Name != lease.ShardLeaseName(d.Group(), role) {
				continue
			}
			r, err := child.Decode(lease.DecodeShard(&l).Ledger)
			if err != nil {
				return err
			}
			if !is(r) {
				return fmt.Errorf("the record is %+v", r)
			}
			found = r
			return nil
		}
		return errors.New("there is no Lease")
	})
	return found
}
