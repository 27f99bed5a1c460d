// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// stopGrace is how long a server may take to end after SIGTERM before it is killed. What it has not written by then is
// lost, which nobody minds in a directory that is about to be removed.
const stopGrace = 10 * time.Second

// command says how to run a server.
type command struct {
	name  string // in messages
	path  string
	args  []string
	log   string // the file that its output is appended to
	home  string // its HOME and TMPDIR, so that it writes nowhere else
	group int    // the process group that it joins
}

// process is a running server.
type process struct {
	command
	cmd      *exec.Cmd
	stopping atomic.Bool
	exited   chan struct{} // closed when the process has ended and been waited for
}

// start runs the command. died is called, if the process ends without stop having been called, with the reason.
func (c command) start(died func(error)) (*process, error) {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	p := &process{command: c, cmd: exec.Command(c.path, c.args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// Nothing of the caller's environment: etcd takes every ETCD_ variable as a flag, and all know proxies.
	p.cmd.Env = []string{"HOME=" + c.home, "TMPDIR=" + c.home}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: c.group}
	dieWithParent(p.cmd.SysProcAttr)

	started := make(chan error, 1)
	go func() {
		defer close(p.exited)
		p.run(started, died)
		_ = log.Close() // the server wrote to a descriptor of its own
	}()
	if err := <-started; err != nil {
		<-p.exited
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	return p, nil
}

// run starts the process and waits for its end on one thread: the kernel takes the end of the thread that forked a process
// for the death of its parent, and a Go program's other threads may end at any time.
func (p *process) run(started chan<- error, died func(error)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	err = p.cmd.Wait()
	if p.stopping.Load() {
		return
	}
	if err == nil {
		err = errors.New("exit status 0")
	}
	died(fmt.Errorf("%s ended unexpectedly: %w; the end of its log:\n%s", p.name, err, tail(p.log)))
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the process: by SIGTERM, and by SIGKILL once stopGrace has passed or the context is done.
func (p *process) stop(ctx context.Context) error {
	p.stopping.Store(true)
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return p.kill(ctx)
	}
}

// kill ends the process by SIGKILL, which takes no time that a context would have to limit.
func (p *process) kill(context.Context) error {
	p.stopping.Store(true)
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited
	return nil
}

func (p *process) signal(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to %s (pid %d): %w", signal, p.name, p.pid(), err)
	}
	return nil
}
