// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

const (
	// pipeGrace is how long the output of a program that has ended may stay open. Only
	// processes that it left behind can keep it open.
	pipeGrace = time.Second
	// maxOutput is how much of what a program prints is kept, the end of it.
	maxOutput = 1 << 10
)

// probe runs the program.
func (e *Exec) probe(ctx context.Context) error {
	var output tail
	cmd := exec.CommandContext(ctx, e.Command[0], e.Command[1:]...)
	cmd.Stdout, cmd.Stderr = &output, &output // one writer: os/exec has no two goroutines write to it
	cmd.WaitDelay = pipeGrace
	inGroupOfItsOwn(cmd)
	err := cmd.Start()
	if err != nil {
		if wrapped := (*exec.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // the rest repeats the name
		}
		return outcome(ctx, e.Command[0], err)
	}
	err = cmd.Wait()
	_ = killGroup(cmd) // whatever the program has left behind; usually that is nothing
	if errors.Is(err, exec.ErrWaitDelay) {
		err = fmt.Errorf("a process that it left behind kept its output open for %s: wait for it, or redirect its output", pipeGrace)
	}
	if said := output.String(); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return outcome(ctx, e.Command[0], err)
}

// tail keeps the last maxOutput bytes that are written to it.
type tail struct{ data []byte }

// Write implements [io.Writer]. It takes everything.
func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p[max(0, len(p)-maxOutput):]...)
	t.data = t.data[max(0, len(t.data)-maxOutput):]
	return len(p), nil
}

// String is what was kept, in one line of valid text.
func (t *tail) String() string {
	return strings.ToValidUTF8(strings.Join(strings.Fields(string(t.data)), " "), "")
}
