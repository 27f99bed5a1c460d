// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/shardctl/shardctl/internal/status"
	"github.com/shardctl/shardctl/pkg/lease"
)

// output is written by the command and read by the test.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// take returns what was written since it was last called, without times.
func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.text.Reset()
	var lines []string
	for line := range strings.Lines(o.text.String()) {
		at, rest, _ := strings.Cut(line, " ")
		if _, err := time.Parse(time.RFC3339, at); err != nil {
			rest = line
		}
		lines = append(lines, rest)
	}
	return strings.Join(lines, "")
}

// watching has the command watch the group until the function returns.
func (a *api) watching(t *testing.T, format string, do func(out, notes *output)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var out, notes output
		ended := make(chan error)
		go func() { ended <- a.group.watch(ctx, &out, &notes, format) }()
		a.settle()
		do(&out, &notes)
		stop()
		if err := <-ended; err != nil {
			t.Errorf("it ended with %v, although it was told to", err)
		}
	})
}

// settle lets time pass until everything that is due has happened.
func (*api) settle() {
	time.Sleep(3 * time.Second)
	synctest.Wait()
}

func TestWatchPrintsALineForEachChange(t *testing.T) {
	api := serve(member("x"), member("y"), shardOf("a", "x"))
	api.watching(t, "", func(out, _ *output) {
		want := "member x: live, ready, revision 0, 1 shard\nmember y: live, ready, revision 0, 0 shards\nshard a: held by x (epoch 5)\n" +
			"server fence: missing: nothing is installed for this group: apply what `shardctl fence FILE` prints for it\n"
		if got := out.take(); got != want {
			t.Errorf("at first it says\n%swant\n%s", got, want)
		}
		for _, tc := range []struct {
			change *coordinationv1.Lease
			want   string
		}{
			{shardOf("a", "y"), "shard a: held by x -> y (epoch 5)\n"},
			{member("z"), "member z: joined: live, ready, revision 0\n"},
			{annotated(heartbeat(member("z")), lease.AnnotationAttempt, "2"), ""},
			{member("y", lease.AnnotationCordoned, "true"), "member y: cordoned, ready, revision 0\nshard a: held by y (epoch 5), draining\n"},
		} {
			api.put(t, tc.change)
			api.settle()
			if got := out.take(); got != tc.want {
				t.Errorf("then it says\n%swant\n%s", got, tc.want)
			}
		}
	})
}

// heartbeat renews the Lease of a member.
func heartbeat(l *coordinationv1.Lease) *coordinationv1.Lease {
	l.Spec.RenewTime = ptr.To(metav1.NowMicro())
	return l
}

func TestWatchPrintsADocumentForEachChange(t *testing.T) {
	for _, format := range []string{"json", "yaml"} {
		t.Run(format, func(t *testing.T) {
			api := serve(member("x"), member("y"), shardOf("a", "x"))
			api.watching(t, format, func(out, _ *output) {
				out.take()
				api.put(t, annotated(heartbeat(member("x")), lease.AnnotationAttempt, "2"))
				api.settle()
				if got := out.take(); got != "" {
					t.Errorf("a heartbeat prints %s", got)
				}
				api.put(t, shardOf("a", "y"))
				api.settle()
				raw, mark := out.take(), "\n"
				if format == "yaml" {
					mark = "---\n"
				}
				var s status.Status
				if err := yaml.Unmarshal([]byte(raw), &s); err != nil || strings.Count(raw, mark) != 1 || s.Shards[0].Holder != identity("y") {
					t.Errorf("a hand-over prints, with error %v:\n%s", err, raw)
				}
			})
		})
	}
}

// unreachable makes every list and watch fail, and ends the watches under way.
type unreachable struct {
	mu      sync.Mutex
	err     error
	watches []watch.Interface
}

func (a *api) outages() *unreachable {
	u := &unreachable{}
	a.PrependReactor("list", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.err != nil, nil, u.err
	})
	a.PrependWatchReactor("leases", func(action clienttesting.Action) (bool, watch.Interface, error) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.err != nil {
			return true, nil, u.err
		}
		w, err := a.Tracker().Watch(action.GetResource(), action.GetNamespace())
		u.watches = append(u.watches, w)
		return true, w, err
	})
	return u
}

func (u *unreachable) become(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err = err
	for _, w := range u.watches {
		w.Stop()
	}
	u.watches = nil
}

// In real time: what client-go does after an error goes by the time at which the
// process was started.
func TestWatchSaysThatTheConnectionIsLost(t *testing.T) {
	api := serve(member("x"), shardOf("a", "x"))
	outage := api.outages()
	ctx, stop := context.WithCancel(t.Context())
	var out output
	var ended errgroup.Group
	ended.Go(func() error { return api.group.watch(ctx, &out, io.Discard, "") })
	out.await(t, "shard a: held by x (epoch 5)\n")
	outage.become(errors.New("no route to host"))
	out.await(t, "connection lost, trying again: no route to host\n")
	outage.become(nil)
	out.await(t, "connected again\n")
	api.put(t, shardOf("a", "y"))
	out.await(t, "shard a: unheld, was held by x\n") // for y is no member
	stop()
	if err := ended.Wait(); err != nil {
		t.Errorf("it ended with %v, although it was told to", err)
	}
}

// await waits until the command has written that.
func (o *output) await(t *testing.T, want string) {
	t.Helper()
	var got string
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		got += o.take()
		return strings.Contains(got, want), nil
	})
	if err != nil {
		t.Fatalf("it says %q, want %q", got, want)
	}
}

// While the connection is lost nobody's heartbeats are seen, and for a moment after
// that not all of them.
func TestNobodyLapsesBecauseTheConnectionIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := heartbeat(member("x"))
		x.Spec.LeaseDurationSeconds = ptr.To[int32](15)
		f := &follower{group: &group{name: "g", namespace: "ns"}, changed: make(chan struct{}, 1)}
		if err := f.Replace([]any{x}, "1"); err != nil {
			t.Fatal(err)
		}
		expect := func(when, want string) {
			t.Helper()
			if v, ready, err := f.view(); !ready || err != nil || v.Members[0].State != want {
				t.Errorf("%s: %+v, %t, %v; want %s", when, v.Members, ready, err, want)
			}
		}
		f.asked(t.Context(), errors.New("no route to host"))
		time.Sleep(time.Minute)
		expect("while the connection is lost", status.Live)
		f.asked(t.Context(), nil)
		time.Sleep(settling / 2)
		expect("before the heartbeats have come in", status.Live)
		f.asked(t.Context(), errors.New("no route to host"))
		time.Sleep(time.Minute)
		expect("when it is lost once more", status.Live)
		f.asked(t.Context(), nil)
		time.Sleep(settling)
		expect("when no heartbeat has come in", status.Lapsed)
	})
}

// In real time, too.
func TestWatchThatIsNotAllowedEnds(t *testing.T) {
	api := serve(member("x"))
	api.outages().become(apierrors.NewForbidden(coordinationv1.Resource("leases"), "", errors.New("not you")))
	says(t, api.group.watch(t.Context(), io.Discard, io.Discard, ""), "watching the Leases of namespace ns")
}

func TestFrameIsCutToTheWindow(t *testing.T) {
	const end = clearToLineEnd + "\n"
	for _, tc := range []struct {
		name          string
		text          string
		width, height int
		want          string
	}{
		{"what fits", "one\ntwo\n", 10, 2, home + "one" + end + "two" + clearToLineEnd + clearToEnd},
		{"what is too high", "1\n2\n3\n4\n", 20, 3, home + "1" + end + "2" + end + "... 2 more" + clearToLineEnd + clearToEnd},
		{"what is too wide", "hällo world\n", 6, 3, home + "hällo" + clearToLineEnd + clearToEnd},
		{"what would control the terminal", "a\x1b[2Jb\n", 20, 3, home + "a\uFFFD[2Jb" + clearToLineEnd + clearToEnd},
		{"where the size of the window is not known", "hällo\nworld\n", 0, 0, home + "hällo" + end + "world" + clearToLineEnd + clearToEnd},
		{"where only the height is known", "hällo\nworld\n!\n", 0, 2, home + "hällo" + end + "... 2 more" + clearToLineEnd + clearToEnd},
		{"what is one column wide", "a\n", 1, 1, home + clearToLineEnd + clearToEnd},
	} {
		if got := frame(tc.text, tc.width, tc.height); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestScreenIsRestored(t *testing.T) {
	var out strings.Builder
	s := &screen{out: &out, size: func() (int, int, error) { return 80, 25, nil }}
	s.open()
	v := view{snapshot: snapshotOf(member("x"), shardOf("a", "x")), at: time.Now(), lost: errors.New("no route to host")}
	if enough, err := s.show(v); enough || err != nil {
		t.Errorf("enough %t, error %v", enough, err)
	}
	s.close()
	got := out.String()
	for _, want := range []string{alternateScreen + hideCursor + home + "Connection lost 0s ago, trying again: no route to host", "held", showCursor + normalScreen} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%q", want, got)
		}
	}
}

func TestWhatIsNoTerminal(t *testing.T) {
	if _, is := terminal(io.Discard); is {
		t.Error("a writer that is no file passes for a terminal")
	}
}

func TestOnlyRenewed(t *testing.T) {
	was := member("x", lease.AnnotationAttempt, "1")
	for _, tc := range []struct {
		name string
		now  *coordinationv1.Lease
		want bool
	}{
		{"a heartbeat", annotated(heartbeat(member("x")), lease.AnnotationAttempt, "2"), true},
		{"a cordon", member("x", lease.AnnotationAttempt, "2", lease.AnnotationCordoned, "true"), false},
		{"another holder", annotated(member("y"), lease.AnnotationAttempt, "1"), false},
	} {
		if got := onlyRenewed(was, tc.now); got != tc.want {
			t.Errorf("%s: %t, want %t", tc.name, got, tc.want)
		}
	}
}

func TestCompletionOffersNamesByPosition(t *testing.T) {
	s := snapshotOf(
		member("x"), member("y", lease.AnnotationCordoned, "true"), member("z", lease.AnnotationEnded, identity("z")),
		shardOf("a", "x"), shardOf("b", "x", lease.AnnotationPinned, "x"),
		member("w", lease.AnnotationProblems, `{"missing":"Missing"}`),
	)
	for _, tc := range []struct {
		names func(snapshot) []string
		want  string
	}{{shardNames, "a b"}, {pinnedShards, "b"}, {memberNames, "w x y"}, {cordonedMembers, "y"}} {
		if got := strings.Join(tc.names(s), " "); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
