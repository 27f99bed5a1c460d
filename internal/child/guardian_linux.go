// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"encoding/gob"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/shardctl/shardctl/pkg/lease"
)

// guardianFD is where a guardian has its end of the sockets.
const guardianFD = 3

// Guard is the whole life of a guardian, which is a process of its own: it starts the program that the
// replica at the other end of the sockets tells it to, and returns when no process that descends from it is left.
//
// It is no Pdeathsig that tells it of the replica's end, but the sockets: killed by a signal, it could not end
// what has left the program's process group.
func Guard() error {
	conn, err := openOrders()
	if err != nil {
		return err
	}
	defer conn.Close()
	var first order
	orders := gob.NewDecoder(conn)
	if err := orders.Decode(&first); err != nil {
		return fmt.Errorf("a guardian got no order from its replica: %w", err)
	}
	if first.Start == nil {
		return errors.New("a guardian was not told what to start")
	}
	g, err := newGuard(first, conn)
	if err != nil {
		return err
	}
	// The program is killed when the *thread* that has started it ends (golang/go#27505). So it is started
	// here, by a goroutine that keeps its thread until the guardian has nothing left to do.
	runtime.LockOSThread()
	if err := becomeGuardian(); err != nil {
		return err
	}
	var loops errgroup.Group
	loops.Go(func() error { return g.orderLoop(orders) })
	loops.Go(g.alarm.ringLoop)
	loops.Go(func() error {
		defer conn.Close()
		defer g.alarm.close()
		return g.watchLoop()
	})
	g.start(first)
	return loops.Wait()
}

// openOrders returns the guardian's end of the sockets.
func openOrders() (*os.File, error) {
	kind, err := unix.GetsockoptInt(guardianFD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil || kind != unix.SOCK_STREAM {
		return nil, errors.New("this command is started by shardctl run, for a role of kind exec, and not by hand")
	}
	unix.CloseOnExec(guardianFD) // so that the replica's end breaks with this process, not with the last descendant
	if err := unix.SetNonblock(guardianFD, true); err != nil {
		return nil, fmt.Errorf("preparing a guardian: %w", err)
	}
	return os.NewFile(guardianFD, "replica"), nil
}

// becomeGuardian prepares the process, and the thread that starts the program.
func becomeGuardian() error {
	// What loses its parent becomes a child of this process instead of vanishing to process 1.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("becoming the reaper of a program's processes: %w", err)
	}
	// A program that gains privileges when it is executed could not be killed, and would lose its
	// parent-death signal.
	kills, err := capable(unix.CAP_KILL)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 || !kills {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("keeping a program from gaining privileges: %w", err)
		}
	}
	// Only the replica says when the program is to end. The signals are taken and dropped, rather than
	// ignored, because the program would inherit that; and nobody needs to read the channel.
	signal.Notify(make(chan os.Signal, 1), unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGPIPE, unix.SIGUSR1, unix.SIGUSR2)
	return nil
}

// started is what became of the attempt to start the program.
type started struct {
	pid int
	err error
}

// guard is a guardian at work.
type guard struct {
	clock    lease.Clock
	alarm    *alarm
	reports  *gob.Encoder
	sentence sentence
	group    int           // the program's process group, and its own number; 0 before it was started
	ended    bool          // the program itself: others that descend from it may be left
	lost     bool          // the replica is gone
	killed   lease.Instant // the last round of killing

	orders   chan order
	starts   chan started
	reaped   chan reaped
	doomed   chan struct{} // closed when the program is to be killed
	watching chan struct{} // closed when nobody reads the orders any more
}

func newGuard(first order, conn *os.File) (*guard, error) {
	alarm, err := newAlarm()
	if err != nil {
		return nil, err
	}
	g := &guard{
		clock: lease.BootClock(), alarm: alarm, reports: gob.NewEncoder(conn),
		sentence: sentence{grace: first.Start.Grace},
		orders:   make(chan order), starts: make(chan started, 1), reaped: make(chan reaped),
		doomed: make(chan struct{}), watching: make(chan struct{}),
	}
	g.sentence.extend(first.TerminateAt, first.KillAt)
	return g, nil
}

// start starts the program, and returns when that is done. Should the program's file be on a file system that
// hangs, the others go on meanwhile.
//
// It looks at the clock itself: the order may have waited for a long time for this process to get a processor, and
// the watchLoop may not have looked yet.
func (g *guard) start(o order) {
	select {
	case <-g.doomed:
		g.starts <- started{err: errTooLate}
		return
	default:
	}
	if g.clock.Now() >= o.TerminateAt {
		g.starts <- started{err: errTooLate}
		return
	}
	s := o.Start
	pid, err := syscall.ForkExec(s.Path, s.Args, &syscall.ProcAttr{
		Env: s.Env,
		// The output goes to the replica, by the pipes that this process has got for it.
		Files: []uintptr{0, 1, 2},
		// Go looks whether the parent has gone already when it sets Pdeathsig.
		Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	g.starts <- started{pid, err}
}

// orderLoop hands on what the replica says, and ends with the replica or the connection.
func (g *guard) orderLoop(orders *gob.Decoder) error {
	defer close(g.orders)
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			return nil
		}
		select {
		case g.orders <- o:
		case <-g.watching:
			return nil
		}
	}
}
