// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
)

// Process is one run of a program on this machine. Its methods may be called from several goroutines.
type Process struct {
	cmd     *exec.Cmd
	log     string
	logFrom int // the length of the log when the process was started
	// told is set once somebody ends the process, or waits for its end.
	told   atomic.Bool
	exited chan struct{} // closed when the process has ended and been waited for
}

// StartProcess runs a program, whose output is appended to the file log, in a process group of its own: a Ctrl-C in the
// terminal does not reach it. It runs until it ends or is ended. The environment is given as for exec.Cmd.
func StartProcess(path string, args, env []string, log string) (*Process, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(path), err)
	}
	before, err := output.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", filepath.Base(path), err), output.Close())
	}
	p := &Process{cmd: exec.Command(path, args...), log: log, logFrom: int(before.Size()), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = output, output, env
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(p.cmd.SysProcAttr)

	started := make(chan error, 1)
	go func() {
		defer close(p.exited)
		p.run(started)
		_ = output.Close() // the program wrote to a descriptor of its own
	}()
	if err := <-started; err != nil {
		<-p.exited
		return nil, fmt.Errorf("start %s: %w", filepath.Base(path), err)
	}
	return p, nil
}

// run starts the process and waits for its end on one thread: the kernel takes the end of the thread that forked a process
// for the death of its parent, and a Go program's other threads may end at any time.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err == nil {
		_ = p.cmd.Wait() // cmd.ProcessState says how it ended
	}
}

// PID returns the number of the process, which is nobody else's while Running.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Running says whether the process has not ended; a paused one has not.
func (p *Process) Running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Kill ends the process by SIGKILL and returns when it has ended.
func (p *Process) Kill() error {
	p.told.Store(true)
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-p.exited
	return nil
}

// signal does nothing to a process that has ended.
func (p *Process) signal(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to process %d: %w", signal, p.PID(), err)
	}
	return nil
}
