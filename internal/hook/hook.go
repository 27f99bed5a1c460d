// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package hook

import (
	"context"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// MaxAnswerBytes is the size of the largest answer that is read, after decompression.
const MaxAnswerBytes = 10 << 20

// Caller calls one hook. It is safe for concurrent use.
type Caller interface {
	// Call sends request as JSON and decodes the answer into answer. It ends at once when ctx ends, and
	// then returns ctx's cause, wrapped. A failure of the hook is an *Error. If answer is nil, none is
	// asked for: see the package's documentation.
	Call(ctx context.Context, request, answer any) error
}

// Hook is a Caller that New has made.
type Hook interface {
	Caller

	// Close gives back idle connections. Calls that are under way, and later ones, are not hindered.
	Close()
}

// New returns the hook that c describes, or what is wrong with c.
func New(c *Config) (Hook, error) {
	if errs := c.Validate(field.NewPath("hook")); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	if c.Webhook != nil {
		return newWebhook(c.Webhook), nil
	}
	p := &program{
		command: c.Exec.Command, env: os.Environ(), timeout: timeoutOrDefault(c.Exec.Timeout), grace: pipeGrace,
		stdout: os.Stdout, stderr: os.Stderr,
	}
	for _, e := range c.Exec.Env {
		p.env = append(p.env, e.Name+"="+e.Value)
	}
	return p, nil
}

// withTimeout bounds one call. The cause tells a call that took too long from one whose caller gave up.
func withTimeout(ctx context.Context, target string, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout,
		&Error{Reason: TimedOut, Target: target, Detail: fmt.Sprintf("no answer within %s", timeout)})
}
