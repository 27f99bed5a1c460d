// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/pkg/lease"
)

const (
	// sendTimeout is how long a guardian may leave an order unread. The socket holds a hundred of them, but not
	// always the first, which has the environment: for that one there is startTimeout, as nothing runs yet.
	sendTimeout  = time.Second
	startTimeout = 10 * time.Second

	// moved is by how much an instant has to differ to be sent again: the same validity, read twice, differs by
	// less.
	moved = 5 * time.Millisecond

	// goneInterval is the time between two looks at what the death of a guardian has left.
	goneInterval = 20 * time.Millisecond
)

// attempt is one run of the program, as the replica sees it: by its guardian.
type attempt struct {
	limits   *limits
	clock    lease.Clock
	log      klog.Logger
	guardian *exec.Cmd
	conn     *net.UnixConn
	orders   *gob.Encoder
	reports  chan report
	output   *output

	sentence sentence
	stopping bool
	forced   bool
	pid      int // of the program, and its process group; 0 before it was started
	failed   string
	exit     *exit
}

// attempt runs the program once, and returns when no process of it is left: with its end, or nil if it was not started because
// there was no time for it.
func (c *Child) attempt(ctx context.Context, term Term, limits *limits) *Record {
	path, err := exec.LookPath(c.options.Command[0])
	if err != nil {
		return c.badCommand(err)
	}
	a := &attempt{limits: limits, clock: lease.BootClock(), log: klog.FromContext(ctx), reports: make(chan report)}
	a.sentence.grace = c.options.TerminationGrace
	if err := a.begin(c.options.Guardian, term.Shard()); err != nil {
		return c.notStarted(err)
	}
	var loops errgroup.Group
	loops.Go(a.reportLoop)
	a.send(&start{Path: path, Args: c.options.Command, Env: c.environment(term), Grace: c.options.TerminationGrace})
	a.superviseLoop(ctx)
	_ = loops.Wait()
	_ = a.conn.Close()
	guardianEnd := a.guardian.Wait()
	if guardianEnd != nil && a.pid != 0 {
		a.clearUp()
	}
	a.output.close()
	return a.record(c, guardianEnd)
}

// begin starts the guardian.
func (a *attempt) begin(command []string, role string) error {
	ours, theirs, err := sockets()
	if err != nil {
		return err
	}
	defer theirs.Close()
	a.conn, a.orders = ours, gob.NewEncoder(ours)
	a.guardian = exec.Command(command[0], append(slices.Clone(command[1:]), role)...)
	a.guardian.Args[0] = os.Args[0] // rather than a link
	a.guardian.ExtraFiles = []*os.File{theirs}
	// What a terminal sends to this process is not for the guardian.
	a.guardian.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if a.output, err = openOutput(a.log); err != nil {
		_ = ours.Close()
		return err
	}
	if err := a.output.handTo(a.guardian); err != nil {
		_ = ours.Close()
		a.output.close()
		return fmt.Errorf("starting the guardian %s: %w", command[0], err)
	}
	return nil
}

// sockets returns a connected pair. Both are closed in what this process executes, unless they are handed on.
func sockets() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("making sockets for a guardian: %w", err)
	}
	near, far := os.NewFile(uintptr(fds[0]), "guardian"), os.NewFile(uintptr(fds[1]), "replica")
	defer near.Close()
	conn, err := net.FileConn(near)
	if err != nil {
		_ = far.Close()
		return nil, nil, fmt.Errorf("making sockets for a guardian: %w", err)
	}
	return conn.(*net.UnixConn), far, nil
}

// reportLoop hands on what the guardian says, until it is gone.
func (a *attempt) reportLoop() error {
	defer close(a.reports)
	for reports := gob.NewDecoder(a.conn); ; {
		var r report
		if err := reports.Decode(&r); err != nil {
			return nil
		}
		a.reports <- r
	}
}

// superviseLoop tells the guardian how long the term is valid, and that the program is to stop when ctx is
// done. It returns when the guardian is gone.
func (a *attempt) superviseLoop(ctx context.Context) {
	timer := time.NewTimer(a.limits.look())
	defer timer.Stop()
	for done := ctx.Done(); ; {
		select {
		case r, ok := <-a.reports:
			if !ok {
				return
			}
			a.note(r)
		case <-done:
			done, a.stopping = nil, true
			a.send(nil)
		case <-timer.C:
			if a.stale() {
				a.send(nil)
			}
		}
		timer.Reset(a.enforce())
	}
}

func (a *attempt) note(r report) {
	switch {
	case r.PID != 0:
		a.pid = r.PID
		a.log.Info("Program started", "pid", r.PID)
	case r.Exit != nil:
		a.exit = r.Exit
		a.sentence.ask(a.clock.Now()) // those that it has left behind
	default:
		a.failed = r.Failed
	}
}

// stale tells whether the guardian knows other instants than those that hold now.
func (a *attempt) stale() bool {
	terminateAt, killAt := a.limits.read(a.clock)
	return killAt.Sub(a.sentence.killAt).Abs() > moved || terminateAt.Sub(a.sentence.terminateAt).Abs() > moved
}

// send tells the guardian the instants. One that does not read them is not to be relied on.
func (a *attempt) send(s *start) {
	if a.forced {
		return
	}
	a.sentence.extend(a.limits.read(a.clock))
	if a.stopping {
		a.sentence.ask(a.clock.Now())
	}
	o := order{Start: s, TerminateAt: a.sentence.terminateAt, KillAt: a.sentence.killAt, Stop: a.stopping}
	timeout := sendTimeout
	if s != nil {
		timeout = startTimeout
	}
	err := a.conn.SetWriteDeadline(time.Now().Add(timeout))
	if err == nil {
		err = a.orders.Encode(o)
	}
	if err != nil && !errors.Is(err, unix.EPIPE) { // which is the guardian's end
		a.log.Error(err, "A guardian does not take orders: its program is killed")
		a.force()
	}
}

// enforce kills the program if the guardian, for example because somebody has stopped it, has not done so
// when half of the margin was over. It returns how long to wait before the next look.
func (a *attempt) enforce() time.Duration {
	if a.forced {
		return a.limits.look()
	}
	now := a.clock.Now()
	patience := a.limits.margin() / 2
	terminate, kill := a.sentence.due(now.Add(-patience))
	if terminate {
		a.sentence.ask(now)
	}
	if kill {
		// If there was nobody, this process has been stopped, and has not heard from its guardian yet.
		if a.force() > 0 {
			a.log.Error(nil, "A guardian has not ended its program in time: it was killed")
		}
	}
	return min(a.limits.look(), max(a.sentence.next().Add(patience).Sub(now), time.Millisecond))
}

// force kills what descends from the guardian, and has the guardian see to it that nothing is left. It returns how
// many processes were alive.
//
// This process may have been stopped itself, for so long that the program's number is another's by now. The
// guardian's is not, as it has not been waited for.
func (a *attempt) force() (alive int) {
	a.forced = true
	alive, err := signalDescendants(a.guardian.Process.Pid, a.pid, unix.SIGKILL)
	if err != nil {
		a.log.Error(err, "The processes of a program cannot be found: its guardian has to end them")
	}
	_ = a.conn.CloseWrite()
	_ = a.guardian.Process.Signal(unix.SIGCONT)
	return alive
}

// clearUp kills what is left of the program's group when the guardian was killed, and returns when it is
// gone: the program itself had a parent-death signal, the others of its group had none.
func (a *attempt) clearUp() {
	for {
		all, err := processes()
		if err != nil {
			a.log.Error(err, "What a guardian has left behind cannot be found")
			_ = unix.Kill(-a.pid, unix.SIGKILL)
			return
		}
		if !living(all, a.pid) {
			return
		}
		_ = unix.Kill(-a.pid, unix.SIGKILL)
		time.Sleep(goneInterval)
	}
}

// record is the end of the attempt; nil if the guardian found no time left to start the program.
func (a *attempt) record(c *Child, guardianEnd error) *Record {
	r := &Record{ExitCode: -1, Stopped: a.stopping || a.forced, Tail: a.output.tail.lines()}
	switch {
	case a.exit != nil:
		r.ExitCode, r.Signal, r.Stopped = a.exit.Code, a.exit.Signal, a.exit.Stopped
	case a.failed != "":
		return c.badCommand(errors.New(a.failed))
	case guardianEnd != nil:
		r.Error = fmt.Sprintf("its guardian ended: %v", guardianEnd)
	default:
		return nil
	}
	return r
}

// badCommand is for what only the user can put right.
func (c *Child) badCommand(err error) *Record {
	return c.notStarted(fmt.Errorf("%w: correct the command of the role, or the image", err))
}

func (c *Child) notStarted(err error) *Record {
	return &Record{ExitCode: -1, Error: fmt.Sprintf("%s cannot be started: %v", c.options.Command[0], err)}
}
