// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"golang.org/x/sys/unix"

	"github.com/shardctl/shardctl/pkg/lease"
)

// long is a validity that plays no part in a test.
const long = time.Hour

// strict is a validity whose margin, half a second, is more than a busy machine keeps a
// guardian waiting for a processor.
const strict = 10 * time.Second

func TestProgramIsAskedToEndWhenTheShardIsGivenAway(t *testing.T) {
	at, term := listen(t), termFor(long)
	r := serve(t, term, Options{Command: program("polite"), Env: []string{at.env()}, TerminationGrace: patience, Pod: "importer-0"})
	at.await(t)
	r.stop(t)
	at.wantDead(t)
	end := lastWord(t, term)
	if end.ExitCode != 7 || !end.Stopped || end.Pod != "importer-0" || len(end.Tail) != 1 || end.Tail[0] != "bye" {
		t.Errorf("left on record: %+v", end)
	}
}

// To many programs the second SIGTERM says that there is no time to end in order.
func TestProgramIsAskedToEndOnce(t *testing.T) {
	for range 5 {
		at, term := listen(t), termFor(long)
		r := serve(t, term, Options{Command: program("counter"), Env: []string{at.env()}, TerminationGrace: patience})
		at.await(t)
		r.stop(t)
		if end := lastWord(t, term); end.ExitCode != 1 {
			t.Fatalf("it got SIGTERM %d times", end.ExitCode)
		}
	}
}

func TestProgramThatDoesNotEndIsKilledAfterItsGrace(t *testing.T) {
	for _, name := range []string{"stubborn", "mute", "flood"} {
		t.Run(name, func(t *testing.T) {
			at, term := listen(t), termFor(long)
			r := serve(t, term, Options{Command: program(name), Env: []string{at.env()}, TerminationGrace: 20 * time.Millisecond})
			at.await(t)
			r.stop(t)
			at.wantDead(t)
			if end := lastWord(t, term); end.Signal != "killed" || !end.Stopped {
				t.Errorf("left on record: %+v", end)
			}
		})
	}
}

func TestProgramIsAskedToEndBeforeTheValidityEnds(t *testing.T) {
	t.Parallel()
	at, term := listen(t), termFor(6*time.Second)
	r := serve(t, term, Options{Command: program("polite"), Env: []string{at.env()}})
	at.await(t)
	at.awaitDeath(t)
	if left := term.Remaining(); left <= 0 {
		t.Errorf("it died %s after the end of the validity", -left)
	}
	r.stop(t)
	if end := lastWord(t, term); end.ExitCode != 7 || !end.Stopped {
		t.Errorf("left on record: %+v", end)
	}
}

func TestProgramIsDeadBeforeTheValidityEnds(t *testing.T) {
	t.Parallel()
	at, stamps := listen(t), filepath.Join(t.TempDir(), "stamps")
	term := termFor(strict)
	serve(t, term, Options{Command: program("stamps", stamps), Env: []string{at.env()}})
	at.await(t)
	at.awaitDeath(t)
	if last := lastStamp(t, stamps); last >= term.until {
		t.Errorf("it was alive %s after the end of the validity", last.Sub(term.until))
	}
}

func TestProgramIsDeadBeforeTheValidityEndsThoughItsGuardianIsStopped(t *testing.T) {
	t.Parallel()
	at, stamps := listen(t), filepath.Join(t.TempDir(), "stamps")
	term := termFor(strict)
	serve(t, term, Options{Command: program("stamps", stamps), Env: []string{at.env()}})
	guardian := parentOf(t, at.await(t).pid)
	unix.Kill(guardian, unix.SIGSTOP)
	awaitState(t, guardian, 'T')
	at.awaitDeath(t)
	if last := lastStamp(t, stamps); last >= term.until {
		t.Errorf("it was alive %s after the end of the validity", last.Sub(term.until))
	}
}

func TestRenewalsKeepTheProgramAlive(t *testing.T) {
	t.Parallel()
	at, term := listen(t), termFor(2*time.Second)
	serve(t, term, Options{Command: program("polite"), Env: []string{at.env()}})
	m := at.await(t)
	for range 40 { // more than two validities
		if m.dead(100 * time.Millisecond) {
			t.Fatal("it died")
		}
		term.renew(2 * time.Second)
	}
}

func TestProgramIsKilledAtOnceWhenTheTermIsOver(t *testing.T) {
	at, term := listen(t), termFor(long)
	r := serve(t, term, Options{Command: program("stubborn"), Env: []string{at.env()}, TerminationGrace: MaxTerminationGrace})
	at.await(t)
	term.renew(0)
	r.stop(t)
	at.wantDead(t)
	if end := lastWord(t, term); end.Signal != "killed" {
		t.Errorf("left on record: %+v", end)
	}
}

func TestProgramIsNotStartedInATermThatIsOver(t *testing.T) {
	at, term := listen(t), termFor(0)
	r := serve(t, term, Options{Command: program("stubborn"), Env: []string{at.env()}})
	term.renew(-time.Second)
	r.stop(t)
	if left := term.left(); left != "" {
		t.Errorf("left on record: %s", left)
	}
}

// TestOrderThatComesTooLateStartsNothing has a guardian find its first order when that is long past, as if the
// machine had not let it run.
func TestOrderThatComesTooLateStartsNothing(t *testing.T) {
	past := lease.BootClock().Now().Add(-time.Second)
	late := order{Start: &start{Path: "/proc/self/exe", Args: program("nothing"), Grace: long}, TerminateAt: past, KillAt: past}
	for range 10 {
		ours, theirs, err := sockets()
		if err != nil {
			t.Fatal(err)
		}
		if err := gob.NewEncoder(ours).Encode(late); err != nil {
			t.Fatal(err)
		}
		guardian := exec.Command(os.Args[0], GuardianCommand, "importer")
		guardian.Env, guardian.ExtraFiles = append(os.Environ(), quick), []*os.File{theirs}
		if out, err := guardian.CombinedOutput(); err != nil {
			t.Errorf("the guardian ended with %v: %s", err, out)
		}
		theirs.Close()
		var told report
		if err := gob.NewDecoder(ours).Decode(&told); !errors.Is(err, io.EOF) {
			t.Errorf("the guardian told %+v (%v)", told, err)
		}
		ours.Close()
	}
}

func TestReplicaThatIsStoppedCannotKeepItsProgramAlive(t *testing.T) {
	t.Parallel()
	at, stamps := listen(t), filepath.Join(t.TempDir(), "stamps")
	r := startReplica(t, at, strict, program("stamps", stamps)...)
	at.await(t)
	end := r.stop(t)
	at.awaitDeath(t)
	if last := lastStamp(t, stamps); last >= end {
		t.Errorf("it was alive %s after the end of the validity", last.Sub(end))
	}
}

func TestReplicaThatWasStoppedDoesNotAccuseItsGuardian(t *testing.T) {
	t.Parallel()
	at := listen(t)
	var log strings.Builder
	r := newReplica(t, at, 2*time.Second, program("stubborn")...)
	r.Stderr = &log
	r.start(t)
	at.await(t)
	end := r.stop(t)
	at.awaitDeath(t)
	until(t, "the validity is over", func() bool { return lease.BootClock().Now() > end })
	r.Process.Signal(syscall.SIGCONT)
	r.Process.Signal(syscall.SIGTERM)
	if err := r.Wait(); err != nil {
		t.Errorf("the replica ended with %v", err)
	}
	if !strings.Contains(log.String(), "Program started") || strings.Contains(log.String(), "has not ended its program") {
		t.Errorf("logged: %s", log.String())
	}
}

func TestReplicaThatIsKilledTakesItsProgramAlong(t *testing.T) {
	at := listen(t)
	r := startReplica(t, at, long, program("daemon")...)
	at.awaitAll(t, 2)
	r.Process.Kill()
	at.awaitDeath(t)
}

func TestReplicaThatIsToldToStopTakesItsProgramAlong(t *testing.T) {
	at := listen(t)
	r := startReplica(t, at, long, program("daemon")...)
	at.awaitAll(t, 2)
	r.Process.Signal(syscall.SIGTERM)
	if err := r.Wait(); err != nil {
		t.Errorf("the replica ended with %v", err)
	}
	at.wantDead(t)
}

func TestGuardianThatIsStoppedCannotKeepItsProgramAlive(t *testing.T) {
	for name, processes := range map[string]int{"stubborn": 1, "daemon": 2} {
		t.Run(name, func(t *testing.T) {
			at, term := listen(t), termFor(long)
			r := serve(t, term, Options{Command: program(name), Env: []string{at.env()}, TerminationGrace: 20 * time.Millisecond})
			guardian := parentOf(t, at.awaitAll(t, processes)[name].pid)
			unix.Kill(guardian, unix.SIGSTOP)
			awaitState(t, guardian, 'T')
			term.renew(2 * time.Second) // half of the margin after the grace is over is soon now
			r.stop(t)
			at.wantDead(t)
		})
	}
}

func TestGuardianThatIsKilledTakesItsProgramAlong(t *testing.T) {
	at, term := listen(t), termFor(long)
	serve(t, term, Options{Command: program("family"), Env: []string{at.env()}, Restart: Backoff{Initial: time.Millisecond}})
	first := at.awaitAll(t, 2)
	unix.Kill(parentOf(t, first["family"].pid), unix.SIGKILL)
	at.await(t) // it is started again
	for name, m := range first {
		if !m.dead(time.Millisecond) {
			t.Errorf("%s is alive beside the new one", name)
		}
	}
	until(t, "the end is entered", func() bool { _, ok := term.entered(); return ok })
	text, _ := term.entered()
	if end, err := Decode(text); err != nil || !strings.Contains(end.Error, "its guardian ended: signal: killed") {
		t.Errorf("entered: %s (%v)", text, err)
	}
}

func TestGuardianThatIsKilledTakesItsProgramAlongThoughTheReplicaIsStopped(t *testing.T) {
	at := listen(t)
	r := startReplica(t, at, long, program("stubborn")...)
	guardian := parentOf(t, at.await(t).pid)
	r.stop(t)
	unix.Kill(guardian, unix.SIGKILL)
	at.awaitDeath(t)
}

func TestGuardianTakesOrdersFromItsReplicaOnly(t *testing.T) {
	at, term := listen(t), termFor(long)
	serve(t, term, Options{Command: program("polite"), Env: []string{at.env()}})
	m := at.await(t)
	guardian := parentOf(t, m.pid)
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2} {
		unix.Kill(guardian, s)
	}
	// Stopped and woken, it has had every signal by now.
	unix.Kill(guardian, unix.SIGSTOP)
	awaitState(t, guardian, 'T')
	unix.Kill(guardian, unix.SIGCONT)
	if m.dead(100 * time.Millisecond) {
		t.Error("a signal to the guardian has ended the program")
	}
}

func TestWhatLeavesTheProcessGroupIsKilled(t *testing.T) {
	at, term := listen(t), termFor(long)
	r := serve(t, term, Options{Command: program("daemon"), Env: []string{at.env()}, TerminationGrace: 20 * time.Millisecond})
	at.awaitAll(t, 2)
	r.stop(t)
	at.wantDead(t)
}

func TestManyProcessesAreKilled(t *testing.T) {
	at, term := listen(t), termFor(long)
	r := serve(t, term, Options{Command: program("bomb", "2"), Env: []string{at.env()}, TerminationGrace: 20 * time.Millisecond})
	at.awaitAll(t, 1+3+9)
	r.stop(t)
	at.wantDead(t)
}

func TestWhatAProgramLeavesBehindIsDeadBeforeItIsStartedAgain(t *testing.T) {
	at, term := listen(t), termFor(long)
	serve(t, term, Options{
		Command: program("leaver"), Env: []string{at.env()},
		TerminationGrace: 200 * time.Millisecond, Restart: Backoff{Initial: time.Millisecond},
	})
	var left *member
	for seen := 0; seen < 2; {
		m := at.await(t)
		if m.name == "stubborn" {
			left = m
			continue
		}
		if seen++; seen == 2 && left != nil && !left.dead(time.Millisecond) {
			t.Error("the program was started again beside what it had left behind")
		}
	}
}

func TestWhatAProgramLeavesBehindIsAskedToEnd(t *testing.T) {
	at, term := listen(t), termFor(long)
	r := serve(t, term, Options{Command: program("abandoner"), Env: []string{at.env()}, TerminationGrace: patience})
	unix.Kill(at.awaitAll(t, 2)["abandoner"].pid, unix.SIGUSR1)
	until(t, "the end is entered", func() bool { _, ok := term.entered(); return ok })
	r.stop(t)
	if end := lastWord(t, term); end.ExitCode != 0 || len(end.Tail) != 1 || end.Tail[0] != "bye" {
		t.Errorf("left on record: %+v", end)
	}
}

func TestZombiesAreReaped(t *testing.T) {
	t.Parallel()
	at, term := listen(t), termFor(long)
	serve(t, term, Options{Command: program("orphans"), Env: []string{at.env()}, TerminationGrace: 20 * time.Millisecond})
	m := at.await(t)
	guardian := parentOf(t, m.pid)
	until(t, "the program is the guardian's only descendant", func() bool {
		all, err := processes()
		if err != nil {
			t.Fatal(err)
		}
		return len(descendants(all, guardian)) == 1
	})
}

func TestEndOfAProgramIsEntered(t *testing.T) {
	tests := []struct {
		command []string
		want    Record
	}{
		{program("fail"), Record{ExitCode: 3, Tail: []string{"the reason"}}},
		{program("nothing"), Record{ExitCode: 0}},
		{program("crash"), Record{ExitCode: -1, Signal: "killed"}},
	}
	for _, tt := range tests {
		t.Run(tt.command[2], func(t *testing.T) {
			term := termFor(long)
			serve(t, term, Options{Command: tt.command, Pod: "importer-0"})
			until(t, "the end is entered", func() bool { _, ok := term.entered(); return ok })
			text, _ := term.entered()
			got, err := Decode(text)
			if err != nil {
				t.Fatal(err)
			}
			if got.ExitCode != tt.want.ExitCode || got.Signal != tt.want.Signal || got.Stopped || got.Pod != "importer-0" ||
				got.At.IsZero() || strings.Join(got.Tail, "\n") != strings.Join(tt.want.Tail, "\n") {
				t.Errorf("entered: %+v", got)
			}
		})
	}
}

func TestProgramThatEndsIsStartedAgain(t *testing.T) {
	began := time.Now()
	at, term := listen(t), termFor(long)
	r := serve(t, term, Options{
		Command: program("leaver"), Env: []string{at.env()},
		TerminationGrace: time.Millisecond, Restart: Backoff{Initial: time.Millisecond, Max: 4 * time.Millisecond},
	})
	for seen := 0; seen < 4; {
		if at.await(t).name == "leaver" {
			seen++
		}
	}
	r.stop(t)
	if end := lastWord(t, term); end.Restarts < 3 {
		t.Errorf("%d restarts on record, want 3 at least", end.Restarts)
	}
	if n, most := len(term.entries), 1+int(time.Since(began)/entryInterval); n > most {
		t.Errorf("%d entries within %s, want %d at most", n, time.Since(began), most)
	}
}

func TestProgramThatCannotBeStarted(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		filepath.Join(dir, "missing"): "no such file or directory",
		"no-such-program-anywhere":    "executable file not found in $PATH",
		dir:                           "is a directory",
		text:                          "exec format error",
	} {
		t.Run(filepath.Base(command), func(t *testing.T) {
			term := termFor(long)
			r := serve(t, term, Options{Command: []string{command}})
			until(t, "the failure is entered", func() bool { _, ok := term.entered(); return ok })
			r.stop(t)
			end := lastWord(t, term)
			for _, part := range []string{command, want, "correct the command of the role"} {
				if !strings.Contains(end.Error, part) {
					t.Errorf("%q does not tell %q", end.Error, part)
				}
			}
		})
	}
}

func TestGuardianThatCannotBeStarted(t *testing.T) {
	term := termFor(long)
	c, err := New(Options{Command: program("polite"), Guardian: []string{"/no/such/guardian"}})
	if err != nil {
		t.Fatal(err)
	}
	end := c.attempt(t.Context(), term, &limits{term: term})
	if end == nil || !strings.Contains(end.Error, "/no/such/guardian") || strings.Contains(end.Error, "correct the command") {
		t.Errorf("got %v", end)
	}
}

func TestGuardianByHandIsRefused(t *testing.T) {
	out, err := exec.Command(os.Args[0], GuardianCommand).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is started by shardctl run") {
		t.Errorf("got %v: %s", err, out)
	}
}

func TestProgramIsToldOfItsTerm(t *testing.T) {
	t.Setenv("POD_NAME", "importer-0")
	t.Setenv("SHARDCTL_EPOCH", "of somebody else")
	at, term := listen(t), termFor(long)
	serve(t, term, Options{Command: program("environment"), Env: []string{at.env(), "POD_NAME=mine", "EXTRA=\xff"}})
	got := " " + at.await(t).name + " "
	for _, want := range []string{
		"SHARDCTL_ROLE=importer", "SHARDCTL_SHARD=importer", "SHARDCTL_EPOCH=7", "SHARDCTL_FENCING_TOKEN=4711", "POD_NAME=mine", "EXTRA=\xff",
	} {
		if !strings.Contains(got, " "+want+" ") {
			t.Errorf("%s is not in the environment: %s", want, got)
		}
	}
	if strings.Contains(got, "importer-0") || strings.Contains(got, "somebody else") {
		t.Errorf("a variable is there twice: %s", got)
	}
}

func TestOutputIsLoggedByLine(t *testing.T) {
	var mu sync.Mutex
	var logged strings.Builder
	log := funcr.New(func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(&logged, prefix, args)
	}, funcr.Options{})
	term := termFor(long)
	r := serveLogging(t, term, Options{Command: program("fail")}, log)
	until(t, "the failure is entered", func() bool { _, ok := term.entered(); return ok })
	r.stop(t)
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{
		`"msg"="Output" "role"="importer" "stream"="stderr" "line"="the reason"`, `"msg"="Program ended"`, `"end"="exit code 3"`,
	} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("%s is not in the log:\n%s", want, logged.String())
		}
	}
}

func TestFloodIsLoggedOnce(t *testing.T) {
	var mu sync.Mutex
	lines, bytes := 0, 0
	log := funcr.New(func(_, args string) {
		if strings.Contains(args, `"msg"="Output"`) {
			mu.Lock()
			defer mu.Unlock()
			lines++
			bytes += len(args)
		}
	}, funcr.Options{})
	at, term := listen(t), termFor(long)
	r := serveLogging(t, term, Options{Command: program("flood"), Env: []string{at.env()}, TerminationGrace: time.Millisecond}, log)
	at.await(t)
	until(t, "both streams are logged", func() bool { mu.Lock(); defer mu.Unlock(); return lines == 2 })
	r.stop(t)
	if bytes > 2*8*maxLineBytes {
		t.Errorf("%d lines of %d bytes in all", lines, bytes)
	}
}

func TestOrphansAreReapedAndNobodyElsesChildren(t *testing.T) {
	t.Parallel()
	if out, err := exec.Command(os.Args[0], program("reaper")[1:]...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func TestOnlyProcess1ReapsOrphans(t *testing.T) {
	if err := ReapOrphans(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAlarmRingsAtItsInstant(t *testing.T) {
	a, err := newAlarm()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.ringLoop() }()
	clock := lease.BootClock()
	for _, after := range []time.Duration{-time.Hour, 0, 20 * time.Millisecond} {
		at := clock.Now().Add(after)
		a.set(at)
		select {
		case <-a.rings:
		case <-time.After(patience):
			t.Fatal("it does not ring")
		}
		if now := clock.Now(); now < at {
			t.Errorf("it rang %s early", at.Sub(now))
		}
	}
	a.close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestParseStat(t *testing.T) {
	stat := "42 (a) b (c) Z 7 40 39 0 -1 4228100 0 0 0 0 0 0 0 0 20 0 1 0 123456 0 0"
	got, ok := parseStat(42, []byte(stat))
	if want := (process{pid: 42, parent: 7, group: 40, zombie: true, began: "123456"}); !ok || got != want {
		t.Errorf("got %+v, %t; want %+v", got, ok, want)
	}
	for _, damaged := range []string{"", "42", "42 (a) Z", strings.Replace(stat, "Z 7", "Z x", 1)} {
		if p, ok := parseStat(42, []byte(damaged)); ok {
			t.Errorf("%q is taken for %+v", damaged, p)
		}
	}
}
