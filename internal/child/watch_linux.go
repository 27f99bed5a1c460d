// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// killInterval is the time between two rounds of killing, while something is left to kill.
const killInterval = 10 * time.Millisecond

// errTooLate is why a program was not started for which no time was left. Nobody has to be told.
var errTooLate = errors.New("no time is left")

// reaped is the end of a descendant.
type reaped struct {
	pid    int
	status unix.WaitStatus
}

// watchLoop returns once no descendant of this process is left, or none was started. It alone has the guard's
// state.
func (g *guard) watchLoop() error {
	var reaper errgroup.Group
	defer func() { _ = reaper.Wait() }()
	defer close(g.watching)
	for orders := g.orders; ; {
		g.carryOut()
		select {
		case o, ok := <-orders:
			if ok {
				g.obey(o)
			} else {
				g.lost, orders = true, nil
			}
		case <-g.alarm.rings:
		case s := <-g.starts:
			if s.err != nil {
				if !errors.Is(s.err, errTooLate) {
					g.tell(report{Failed: s.err.Error()})
				}
				return nil
			}
			g.group = s.pid
			reaper.Go(g.reapLoop)
			g.tell(report{PID: s.pid})
		case r, ok := <-g.reaped:
			if !ok {
				return nil
			}
			if r.pid == g.group {
				g.mourn(r.status)
			}
		}
	}
}

// carryOut does what is due, and sets the alarm for what is due next.
func (g *guard) carryOut() {
	now := g.clock.Now()
	terminate, kill := g.sentence.due(now)
	switch {
	case kill || g.lost:
		if g.killed == 0 {
			close(g.doomed)
		}
		if now.Sub(g.killed) >= killInterval {
			g.killed = now
			g.signal(unix.SIGKILL)
		}
		g.alarm.set(g.killed.Add(killInterval))
	case terminate && g.group == 0:
		g.alarm.set(g.sentence.end()) // it is asked when it has been started
	case terminate:
		g.askToEnd()
		g.alarm.set(g.sentence.next())
	default:
		g.alarm.set(g.sentence.next())
	}
}

// askToEnd sends SIGTERM, which a process that was stopped does not see unless it goes on.
func (g *guard) askToEnd() {
	g.sentence.ask(g.clock.Now())
	g.signal(unix.SIGTERM)
	g.signal(unix.SIGCONT)
}

func (g *guard) obey(o order) {
	if o.Stop {
		o.TerminateAt = 0
	}
	g.sentence.extend(o.TerminateAt, o.KillAt)
}

// mourn tells how the program ended, and asks those that it has left behind to end, too.
func (g *guard) mourn(status unix.WaitStatus) {
	end := exit{Code: status.ExitStatus(), Stopped: g.sentence.asked || g.killed != 0}
	if status.Signaled() {
		end.Signal = status.Signal().String()
	}
	g.ended = true
	g.tell(report{Exit: &end})
	if !g.sentence.asked {
		g.askToEnd()
	}
}

// signal sends a signal to all that descends from this process. Who has been missed is found in the next round, if
// there is one. Nobody gets SIGTERM twice: to many programs the second one says that there is no time to end in order.
func (g *guard) signal(s unix.Signal) {
	running := g.group != 0 && !g.ended
	if running && s == unix.SIGKILL {
		_ = unix.Kill(-g.group, s) // at once, as reading the table takes a while
	}
	if _, err := signalDescendants(os.Getpid(), g.group, s); err != nil && running {
		_ = unix.Kill(-g.group, s) // without a table there is no more to be done: New has looked whether there is one
	}
}

// tell fails if the replica is gone, of which the orders' end tells.
func (g *guard) tell(r report) { _ = g.reports.Encode(r) }

// reapLoop takes in every descendant that ends, until there is none. While the program is alive, so is this loop.
// A process whose parent ends becomes this one's child before that parent is reaped, so nothing is overlooked.
func (g *guard) reapLoop() error {
	defer close(g.reaped)
	for {
		var r reaped
		var err error
		r.pid, err = unix.Wait4(-1, &r.status, 0, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil // ECHILD
		}
		g.reaped <- r
	}
}
