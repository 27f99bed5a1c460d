// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"time"
)

const (
	// pipeGrace is how long the pipes of a program that has exited or was killed may stay open. Only
	// processes that it left behind can keep them open.
	pipeGrace = 2 * time.Second

	maxStderrBytes = 4 << 10
)

var errTooLarge = fmt.Errorf("standard output has more than the %d bytes allowed", MaxAnswerBytes)

// program is a hook that is started for each call.
type program struct {
	command []string
	env     []string
	timeout time.Duration
	grace   time.Duration // how long its pipes may stay open after its end

	// stdout and stderr get what it prints if no answer is asked for.
	stdout, stderr io.Writer
}

func (p *program) Close() {}

func (p *program) Call(ctx context.Context, request, answer any) error {
	payload, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("encoding the request to hook %s: %w", p.command[0], err)
	}
	callCtx, cancel := withTimeout(ctx, p.command[0], p.timeout)
	defer cancel()
	callCtx, stop := context.WithCancelCause(callCtx)
	defer stop(nil)

	stdout := &answerBuffer{full: func() { stop(errTooLarge) }}
	stderr := &tailBuffer{}
	cmd := exec.CommandContext(callCtx, p.command[0], p.command[1:]...)
	cmd.Env = slices.Concat(p.env, variables(ctx), firingVariables(ctx)) // of a variable that is there twice, the last one counts
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(payload), stdout, stderr
	if answer == nil { // what it prints is for people, who look for it in the container's log
		cmd.Stdout, cmd.Stderr = p.stdout, io.MultiWriter(stderr, p.stderr)
	}
	cmd.WaitDelay = p.grace
	inGroupOfItsOwn(cmd)

	if err := cmd.Start(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("starting hook %s: %w", p.command[0], context.Cause(ctx))
		}
		return &Error{Reason: Unreachable, Target: p.command[0], Detail: "the program cannot be started", Err: err}
	}
	err = cmd.Wait()
	_ = killGroup(cmd) // whatever the program has left behind; usually that is nothing
	if err != nil {
		return p.failure(ctx, callCtx, err, tail(stderr.data))
	}
	if answer == nil {
		return nil
	}
	if err := decode(stdout.data.Bytes(), answer, false); err != nil {
		return badAnswer(p.command[0], stdout.data.Bytes(), err)
	}
	return nil
}

// failure words the end of a program that did not exit by itself with code 0.
func (p *program) failure(ctx, callCtx context.Context, err error, stderr string) error {
	var timedOut *Error
	switch cause := context.Cause(callCtx); {
	case ctx.Err() != nil:
		return fmt.Errorf("calling hook %s: %w", p.command[0], context.Cause(ctx))
	case errors.As(cause, &timedOut):
		timedOut.Excerpt = stderr
		return timedOut
	case errors.Is(cause, errTooLarge):
		return &Error{Reason: TooLarge, Target: p.command[0], Detail: "the answer is too large", Err: cause}
	case errors.Is(err, exec.ErrWaitDelay):
		return &Error{
			Reason: Failed, Target: p.command[0], Excerpt: stderr,
			Detail: fmt.Sprintf("a process that it left behind kept its output open for %s: wait for it, or redirect its output", p.grace),
		}
	default:
		return &Error{Reason: Failed, Target: p.command[0], Detail: "the program failed", Err: err, Excerpt: stderr}
	}
}

// answerBuffer keeps what a program prints, up to MaxAnswerBytes, and then calls full.
type answerBuffer struct {
	data bytes.Buffer // not embedded: its ReadFrom would go past the limit
	full func()
}

func (b *answerBuffer) Write(p []byte) (int, error) {
	if b.data.Len()+len(p) > MaxAnswerBytes {
		b.full()
		return 0, errTooLarge
	}
	return b.data.Write(p)
}

// tailBuffer keeps the last maxStderrBytes that are written to it.
type tailBuffer struct{ data []byte }

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.data = append(b.data, p[max(0, len(p)-maxStderrBytes):]...)
	if excess := len(b.data) - maxStderrBytes; excess > 0 {
		b.data = append(b.data[:0], b.data[excess:]...)
	}
	return len(p), nil
}
