// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package suite

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/shardctl/shardctl/e2e/fleet"
	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// A shard goes where an operator pins it, and stays there although the shares would be more even without; unpinned it takes
// part in balance again.
func TestMove(t *testing.T) {
	t.Parallel()
	const each = 20
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets", "gizmos", "sprockets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	all := c.watchAll(t, types)
	for _, o := range all {
		o.create(t, each)
	}
	d.launch(t, "replica-a", "replica-b")
	before := d.await(t, "two replicas to hold two shards each", fleet.Spread(4, 2))
	stop := keepChanging(t, all, each)

	widgets := types[0].shard()
	from, _ := fleet.HolderOf(before, widgets)
	to := map[string]string{"replica-a": "replica-b", "replica-b": "replica-a"}[from]
	for _, pod := range []string{to, from, to} {
		// Both names are shortened.
		out := d.operate(t, "move", "widgets", strings.TrimPrefix(pod, "repli"))
		if !strings.Contains(out, "shard "+widgets+" is held by "+pod) {
			t.Errorf("move to %s prints\n%s", pod, out)
		}
		d.await(t, "the shard to be pinned to "+pod, pinnedTo(widgets, pod))
	}
	if out := d.operate(t, "move", widgets, to); !strings.Contains(out, "already") {
		t.Errorf("a move to where it is prints\n%s", out)
	}

	d.operate(t, "move", "gadgets", to)
	d.operate(t, "move", "gizmos", to)
	d.awaitHeartbeats(t, 5) // each of which could be a reason to make the shares even
	for _, r := range types[:3] {
		d.await(t, "pins to be kept although shares are not even", pinnedTo(r.shard(), to))
	}

	for _, r := range types[:3] {
		if out := d.operate(t, "unpin", r.Resource); !strings.Contains(out, "not pinned to "+to+" any more") {
			t.Errorf("unpin prints\n%s", out)
		}
	}
	if out := d.operate(t, "unpin", widgets); !strings.Contains(out, "is not pinned") {
		t.Errorf("a second unpin prints\n%s", out)
	}
	d.await(t, "two replicas to hold two shards each again", fleet.Spread(4, 2))
	stop()
	d.checkNothingLost(t, all, each, types)
}

// A replica at work gives away everything when it is drained, and gets its share again when it is uncordoned.
func TestDrain(t *testing.T) {
	t.Parallel()
	const each = 20
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets", "gizmos", "sprockets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	all := c.watchAll(t, types)
	for _, o := range all {
		o.create(t, each)
	}
	d.launch(t, "replica-a", "replica-b")
	before := d.await(t, "two replicas to hold two shards each", fleet.Spread(4, 2))
	stop := keepChanging(t, all, each)
	pod := busiest(before).Pod
	other := map[string]string{"replica-a": "replica-b", "replica-b": "replica-a"}[pod]

	out := d.operate(t, "drain", pod)
	if !strings.Contains(out, "member "+pod+" is cordoned") || !strings.Contains(out, "member "+pod+" holds nothing") {
		t.Errorf("drain prints\n%s", out)
	}
	d.awaitHeartbeats(t, 5) // each of which could be a reason to give something back
	for _, r := range types {
		d.await(t, "the other replica to hold everything", fleet.HeldBy(r.shard(), other))
	}
	s := d.await(t, "the replica to be a member still", func(status.Status) error { return nil })
	if i := slices.IndexFunc(s.Members, func(m status.Member) bool { return m.Pod == pod }); i < 0 || s.Members[i].State != status.Cordoned {
		t.Errorf("the members are %+v, want %s cordoned", s.Members, pod)
	}
	if out, code := d.shardctl(t, "move", "widgets", pod); code == 0 || !strings.Contains(out, "is cordoned") {
		t.Errorf("a move to it exits with %d and prints\n%s", code, out)
	}

	d.operate(t, "uncordon", pod)
	d.await(t, "two replicas to hold two shards each again", fleet.Spread(4, 2))
	stop()
	d.checkNothingLost(t, all, each, types)
}

// What there is nobody else for stays where it is, and the operator is told.
func TestDrainOfTheLastReplica(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	types := c.createTypes(t, "widgets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	d.launch(t, "replica-a")
	d.await(t, "it to hold the shard", fleet.Spread(1, 1))
	out, code := d.shardctl(t, "drain", "replica-a", "--timeout=3s")
	for _, want := range []string{"1 of 1 shards left: " + types[0].shard(), "no other member", "waited for 3s", "stays cordoned"} {
		if code == 0 || !strings.Contains(out, want) {
			t.Errorf("drain exits with %d and prints\n%swant %q", code, out, want)
		}
	}
	d.launch(t, "replica-b")
	d.await(t, "the new replica to hold the shard", fleet.HeldBy(types[0].shard(), "replica-b"))
}

func TestNamesThatAreWrong(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	d.launch(t, "replica-a", "replica-b")
	before := d.await(t, "two replicas to be ready", fleet.Spread(2, 2))
	shards := types[1].shard() + ", " + types[0].shard()
	for _, tc := range []struct{ command, want string }{
		{"move gizmos replica-a", `there is no shard "gizmos": use one of ` + shards},
		{"move suite.shardctl.dev replica-a", `shard "suite.shardctl.dev" is ambiguous: use one of ` + shards},
		{"move widgets replica", `member "replica" is ambiguous: use one of replica-a, replica-b`},
		{"move widgets nobody", `there is no member "nobody": use one of replica-a, replica-b`},
		{"unpin gizmos", `there is no shard "gizmos"`},
		{"drain replica", `member "replica" is ambiguous`},
		{"uncordon nobody", `there is no member "nobody"`},
		{"drain replica-a --group=another", `there is no group "another"`},
	} {
		out, code := d.shardctl(t, strings.Fields(tc.command)...)
		if code != 1 || !strings.Contains(out, tc.want) || strings.Contains(out, "Usage") {
			t.Errorf("%s exits with %d and prints %q, want 1 and %q", tc.command, code, out, tc.want)
		}
	}
	after := d.await(t, "two replicas to be ready still", fleet.Spread(2, 2))
	for i, sh := range after.Shards {
		if sh.Epoch != before.Shards[i].Epoch || sh.Preferred != "" {
			t.Errorf("shard %s has changed: %+v", sh.Name, sh)
		}
	}
}

// Without a terminal, status --watch prints what happens and nothing else, until it is told to end.
func TestStatusWatch(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	types := c.createTypes(t, "widgets", "gadgets")
	hook := serveHook(t, answerWith(reflectSpec))
	d := c.deploy(t, rolesFor(webhook(hook, hookTimeout), types...)...)
	d.launch(t, "replica-a", "replica-b")
	before := d.await(t, "two replicas to be ready", fleet.All(fleet.Spread(2, 2), noProblem(types[0]), noProblem(types[1])))
	widgets := types[0].shard()
	from, _ := fleet.HolderOf(before, widgets)
	to := map[string]string{"replica-a": "replica-b", "replica-b": "replica-a"}[from]

	lines := d.watchStatus(t)
	documents := d.watchStatus(t, "-o", "json")
	lines.await(t, "shard "+widgets+": held by "+from+` \(epoch \d+\)`)
	documents.await(t, `"name":"`+widgets+`"`)
	quiet := len(lines.read(t))
	d.awaitHeartbeats(t, 5)
	if more := lines.read(t)[quiet:]; more != "" {
		t.Errorf("heartbeats print\n%s", more)
	}
	d.operate(t, "move", "widgets", to)
	lines.await(t, "shard "+widgets+": held by "+from+" -> "+to+` \(epoch \d+\), pinned to `+to)
	documents.await(t, `"name":"`+widgets+`"[^}]*"holder":"`+to+`_[^}]*"state":"pinned"`)
	d.operate(t, "drain", from)
	lines.await(t, "member "+from+": cordoned, ready, revision 0")
	d.terminate(t, d.Replica(from))
	lines.await(t, "member "+from+": left")

	for _, w := range []*watching{lines, documents} {
		w.interrupt(t)
	}
	for line := range strings.Lines(lines.read(t)) {
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ((member|shard) \S+|server fence): .+\n$`).MatchString(line) {
			t.Errorf("a line is %q", line)
		}
	}
	for line := range strings.Lines(documents.read(t)) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line is no JSON: %q", line)
		}
	}
}

// watching is a status --watch that is running.
type watching struct {
	cmd  *exec.Cmd
	file string // what it prints, to both streams
}

func (d *deployment) watchStatus(t *testing.T, args ...string) *watching {
	t.Helper()
	w := &watching{file: filepath.Join(t.TempDir(), "output")}
	file, err := os.Create(w.file)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() // it writes to a descriptor of its own
	w.cmd = exec.CommandContext(t.Context(), binary, append([]string{"status", "--watch"}, d.commandLine(args...)...)...)
	w.cmd.Stdout, w.cmd.Stderr = file, file
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.cmd.Wait() }) // it is killed by the end of the context, unless it has ended
	return w
}

func (w *watching) read(t *testing.T) string {
	t.Helper()
	out, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// await waits until something that matches has been printed.
func (w *watching) await(t *testing.T, pattern string) {
	t.Helper()
	eventually(t, "status --watch prints "+pattern, func() error {
		if out := w.read(t); !regexp.MustCompile(pattern).MatchString(out) {
			return fmt.Errorf("it has printed\n%s", out)
		}
		return nil
	})
}

// interrupt ends it as Ctrl-C does.
func (w *watching) interrupt(t *testing.T) {
	t.Helper()
	if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Wait(); err != nil {
		t.Errorf("status --watch ended with %v after SIGINT, want exit code 0:\n%s", err, w.read(t))
	}
}

// operate runs a command that must succeed, and returns what it printed.
func (d *deployment) operate(t *testing.T, args ...string) string {
	t.Helper()
	out, code := d.shardctl(t, args...)
	if code != 0 {
		t.Fatalf("shardctl %s exits with %d and prints\n%s", strings.Join(args, " "), code, out)
	}
	return out
}

// shardctl runs a command about the group.
func (d *deployment) shardctl(t *testing.T, args ...string) (output string, code int) {
	t.Helper()
	return shardctl(t, d.commandLine(args...)...)
}

func (d *deployment) commandLine(args ...string) []string {
	return append(args, "--kubeconfig", controlPlane.KubeconfigPath(), "--namespace", d.Namespace())
}

// pinnedTo holds if the shard is held by the Pod, and pinned to it.
func pinnedTo(shard, pod string) fleet.Condition {
	return func(s status.Status) error {
		for _, sh := range s.Shards {
			if sh.Name == shard && sh.State == status.Pinned && sh.Preferred == pod && status.PodOf(sh.Holder) == pod {
				return nil
			}
		}
		return fmt.Errorf("shard %s is not", shard)
	}
}

// checkNothingLost fails the test unless every change was reconciled, by the holder of its shard, which there always was.
func (d *deployment) checkNothingLost(t *testing.T, all []*objects, each int, types []resourceType) {
	t.Helper()
	for _, o := range all {
		o.awaitReconciled(t, each)
	}
	j := d.journal(t)
	j.checkEpochs(t)
	j.checkNeverReleased(t)
	j.checkExclusion(t, types...)
	for _, l := range d.leases(t, lease.KindMember) {
		if m := lease.DecodeMember(&l); m.Ended == m.Holder {
			t.Errorf("the session %s has ended", m.Holder)
		}
	}
}
