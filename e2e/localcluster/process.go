// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package localcluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// command says how to run the main process of a container.
type command struct {
	path     string // within the root
	args     []string
	env      []string
	dir      string
	user     syscall.Credential
	root     *rootFS
	network  *namespace
	hostname string
	log      string // a file of this machine that output is appended to
}

// process is a container's main process. It has a PID namespace, in which it is the first one, so that all that it has started
// ends with it.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended and been waited for
}

// start runs the command. Its error is one of this machine or of the image; no process is left then.
func (c command) start() (*process, error) {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: &exec.Cmd{Path: c.path, Args: c.args, Env: c.env, Dir: c.dir}, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot:     c.root.dir,
		Credential: &c.user,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWIPC,
		Setsid:     true,
		Pdeathsig:  syscall.SIGKILL, // of the thread, which is why that waits
	}
	started := make(chan error, 1)
	go func() {
		defer close(p.exited)
		_ = onThread(func() error { // what there is to say is sent to started
			c.run(p.cmd, started)
			return nil
		})
		_ = log.Close() // the process wrote to a descriptor of its own
	}()
	if err := <-started; err != nil {
		<-p.exited
		return nil, err
	}
	return p, nil
}

// run starts the process from a thread that is in the container's namespaces already, since the new process inherits them, and
// waits for its end.
func (c command) run(cmd *exec.Cmd, started chan<- error) {
	err := c.enter()
	if err == nil {
		err = cmd.Start()
	}
	started <- err
	if err == nil {
		_ = cmd.Wait() // cmd.ProcessState says how it ended
	}
}

func (c command) enter() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Sethostname([]byte(c.hostname)); err != nil {
		return os.NewSyscallError("sethostname", err)
	}
	if err := c.network.enter(); err != nil {
		return err
	}
	return c.root.build()
}

// signal does nothing to a process that has ended.
func (p *process) signal(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("send %v to process %d: %w", signal, p.cmd.Process.Pid, err)
	}
	return nil
}

// exitCode is that of a container runtime: of a process that was killed, 128 and the signal's number.
func (p *process) exitCode() int32 {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int32(status.Signal())
	}
	return int32(p.cmd.ProcessState.ExitCode())
}
