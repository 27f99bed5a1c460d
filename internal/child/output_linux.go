// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
)

// pipeGrace is how long the pipes of a program may stay open once its guardian has gone. Only what has
// survived a guardian that was killed can keep them open.
const pipeGrace = time.Second

// output logs what a program prints, line by line, and keeps the last of it.
type output struct {
	log   klog.Logger
	tail  tail
	pipes [2]pipe
	loops errgroup.Group
}

// pipe is standard output or standard error.
type pipe struct {
	stream        string
	reads, writes *os.File
}

func openOutput(log klog.Logger) (*output, error) {
	o := &output{log: log, pipes: [2]pipe{{stream: "stdout"}, {stream: "stderr"}}}
	for i := range o.pipes {
		p := &o.pipes[i]
		var err error
		if p.reads, p.writes, err = os.Pipe(); err != nil {
			o.close()
			return nil, fmt.Errorf("making pipes for the output of a program: %w", err)
		}
	}
	return o, nil
}

// handTo starts cmd with the pipes as its output.
func (o *output) handTo(cmd *exec.Cmd) error {
	cmd.Stdout, cmd.Stderr = o.pipes[0].writes, o.pipes[1].writes
	if err := cmd.Start(); err != nil {
		return err
	}
	for _, p := range o.pipes {
		_ = p.writes.Close() // so that the pipe ends with the last process that has it
		o.loops.Go(func() error {
			eachLine(p.reads, func(line string) {
				o.tail.add(line)
				o.log.Info("Output", "stream", p.stream, "line", line)
			})
			return nil
		})
	}
	return nil
}

// close waits for what is still in the pipes, but not for those that hold them open.
func (o *output) close() {
	for _, p := range o.pipes {
		if p.reads != nil {
			_ = p.reads.SetReadDeadline(time.Now().Add(pipeGrace))
		}
	}
	_ = o.loops.Wait()
	for _, p := range o.pipes {
		_ = p.reads.Close() // of those that were not opened, or are closed already, that does nothing
		_ = p.writes.Close()
	}
}
