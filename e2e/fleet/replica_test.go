// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// obedient ends with 0 on SIGTERM.
const obedient = `trap "echo leaving; exit 0" TERM; echo ready; while :; do sleep 0.01; done`

func linePattern(line string) *regexp.Regexp {
	return regexp.MustCompile("(?m)^(" + regexp.QuoteMeta(line) + ")$")
}

func TestReplicaIsRunAsItsPod(t *testing.T) {
	t.Setenv("SECRET", "of this process")
	f := scripted(t, `echo "$@"; env; exit 0`)
	r := launch(t, f, "a", "--revision=2")
	if _, err := r.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	log, err := r.Log()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"run --config=" + f.configPath() + " --kubeconfig=a.kubeconfig --revision=2\n",
		"POD_NAME=a\n", "POD_UID=uid-of-a\n", "POD_NAMESPACE=space\n", "EXTRA=yes\n", "PATH=" + os.Getenv("PATH") + "\n",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	if strings.Contains(log, "SECRET") {
		t.Errorf("the replica has got all of the environment:\n%s", log)
	}
}

func TestTerminateWaitsForTheEnd(t *testing.T) {
	for _, test := range []struct {
		name, script string
		code         int
	}{
		{"in order", obedient, 0},
		{"with an error", `trap "exit 3" TERM; echo ready; while :; do sleep 0.01; done`, 3},
		{"by the signal", `echo ready; while :; do sleep 0.01; done`, -1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := launch(t, scripted(t, test.script), "a")
			awaitLine(t, r, "ready")
			exit, err := r.Terminate(t.Context())
			if err != nil || exit.Code != test.code || exit.Took <= 0 {
				t.Errorf("Terminate returned %+v, %v; want code %d", exit, err, test.code)
			}
		})
	}
}

func TestTerminateGivesUpWithItsContext(t *testing.T) {
	r := launch(t, scripted(t, `trap "" TERM; echo ready; while :; do sleep 0.01; done`), "a")
	awaitLine(t, r, "ready")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := r.Terminate(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), "ready") {
		t.Errorf("Terminate returned %v, want that the time is over, and the log", err)
	}
	if !r.Running() {
		t.Error("the process has ended")
	}
}

func TestPausedReplicaCanBeKilled(t *testing.T) {
	f := scripted(t, obedient)
	r := launch(t, f, "a")
	awaitLine(t, r, "ready")
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	if !r.Running() || f.Replica("a") != r || len(f.Replicas()) != 1 {
		t.Error("a paused replica does not count as running")
	}
	if err := r.Kill(); err != nil {
		t.Error(err)
	}
	if r.Running() || len(f.Replicas()) != 0 {
		t.Error("the replica is still running after Kill")
	}
	if err := r.Kill(); err != nil {
		t.Errorf("the second Kill returned %v", err)
	}
}

func TestResumedReplicaGoesOn(t *testing.T) {
	r := launch(t, scripted(t, obedient), "a")
	awaitLine(t, r, "ready")
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := r.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.Resume(); err != nil {
		t.Fatal(err)
	}
	if exit, err := r.Wait(t.Context()); err != nil || exit.Code != 0 {
		t.Errorf("Wait returned %+v, %v; want that it has ended in order", exit, err)
	}
}

func TestRestartIsANewProcessOfTheSamePod(t *testing.T) {
	r := launch(t, scripted(t, `echo '"Serving health and metrics" address="127.0.0.1:'$$'"'; while :; do sleep 0.01; done`), "a")
	before, err := r.HTTPAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(); err == nil {
		t.Error("a running replica was restarted")
	}
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(); err != nil {
		t.Fatal(err)
	}
	after, err := r.HTTPAddress(t.Context())
	if err != nil || after == before {
		t.Errorf("HTTPAddress returned %s, %v; want another than that of the process before", after, err)
	}
}

func TestAwaitLineEndsWithTheProcess(t *testing.T) {
	r := launch(t, scripted(t, `echo no such flag; exit 2`), "a")
	_, err := r.HTTPAddress(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exit status 2") || !strings.HasSuffix(err.Error(), "no such flag") {
		t.Errorf("HTTPAddress returned %v, want the exit status and the log", err)
	}
}

func TestCloseKillsAll(t *testing.T) {
	f := scripted(t, obedient)
	a, b := launch(t, f, "a"), launch(t, f, "b")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Replica{a, b} {
		if err := syscall.Kill(r.PID(), 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d of %s is still there: %v", r.PID(), r.Name(), err)
		}
	}
}

func TestStartOfAProgramThatIsNotThere(t *testing.T) {
	f := scripted(t, "")
	f.options.Binary += ".not-there"
	if _, err := f.Launch(t.Context(), "a"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Launch returned %v, want %v", err, os.ErrNotExist)
	}
	if len(f.all()) != 0 {
		t.Error("the fleet has a replica without a process")
	}
}

// awaitEnd waits until a process has ended that nobody has told to.
func awaitEnd(t *testing.T, r *Replica) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		return !r.Running(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
