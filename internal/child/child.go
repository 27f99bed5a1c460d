// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package child

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"github.com/shardctl/shardctl/pkg/shard"
)

const (
	// DefaultTerminationGrace is how long a program has between SIGTERM and SIGKILL.
	DefaultTerminationGrace = 10 * time.Second

	// MaxTerminationGrace bounds what a program may ask for.
	MaxTerminationGrace = time.Hour

	// DefaultRestartInitial and DefaultRestartMax are the first and the longest pause before a program
	// that has ended is started again.
	DefaultRestartInitial = time.Second
	DefaultRestartMax     = 5 * time.Minute
)

// GuardianCommand is the hidden command of shardctl that becomes a guardian: see [Guard].
const GuardianCommand = "guardian"

// Options say which program runs while a shard is held, and how it is treated.
type Options struct {
	// Command is the program and its arguments. No shell is involved. A program without a slash is looked
	// up in shardctl's own PATH, at every start. It has to stay in the foreground: once it has exited,
	// whatever it has left behind is ended.
	Command []string

	// Env, each "NAME=value", is added to the environment of shardctl itself, and wins over it. The
	// variables that tell of the term are set at every start, and cannot be set here: see [IsVariable].
	Env []string

	// TerminationGrace is how long the program has between SIGTERM and SIGKILL when the shard is given away
	// in order. Default 10 s, at most 1 h. It should be shorter than the group's drainTimeout, which is when
	// the replica complains of work that does not end. If the validity of the term runs out there may be less: see docs/exec.md.
	TerminationGrace time.Duration

	// Restart says when a program that has ended is started again, whatever its exit status.
	Restart Backoff

	// Guardian is the command line that calls [Guard]: what stands between this process and the program.
	// Default: this very executable, with [GuardianCommand]. The role's name is added as last argument, for
	// those who look at a list of processes.
	Guardian []string

	// Pod goes into the ledger, so that status can tell where the program ended. Default: none.
	Pod string
}

func (o *Options) setDefaults() {
	o.TerminationGrace = cmp.Or(o.TerminationGrace, DefaultTerminationGrace)
	o.Restart.Initial = cmp.Or(o.Restart.Initial, DefaultRestartInitial)
	o.Restart.Max = cmp.Or(o.Restart.Max, DefaultRestartMax)
	if len(o.Guardian) == 0 {
		// The link leads to the same version of shardctl also when the file was replaced meanwhile.
		o.Guardian = []string{"/proc/self/exe", GuardianCommand}
	}
}

func (o *Options) validate() error {
	var errs []error
	if len(o.Command) == 0 || o.Command[0] == "" {
		errs = append(errs, errors.New("command: is required: name the program and its arguments, for example [/bin/importer, --verbose]"))
	}
	for i, arg := range o.Command {
		if strings.ContainsRune(arg, 0) {
			errs = append(errs, fmt.Errorf("command[%d]: must not contain a NUL character", i))
		}
	}
	for i, variable := range o.Env {
		name, _, ok := strings.Cut(variable, "=")
		switch {
		case !ok || name == "" || strings.ContainsRune(variable, 0):
			errs = append(errs, fmt.Errorf("env[%d]: %q is not allowed: use NAME=value, without a NUL character", i, variable))
		case IsVariable(name):
			errs = append(errs, fmt.Errorf("env[%d]: %s tells the program of its term and is set at every start: use another name", i, name))
		}
	}
	if o.TerminationGrace < 0 || o.TerminationGrace > MaxTerminationGrace {
		errs = append(errs, fmt.Errorf("terminationGrace: %s is not allowed: use more than 0 and at most %s", o.TerminationGrace, MaxTerminationGrace))
	}
	return errors.Join(append(errs, o.Restart.validate())...)
}

// Child runs a program while a shard is held.
type Child struct{ options Options }

// New returns a Child, or everything that is wrong with the options. It starts nothing, and does not look
// whether the program is there.
func New(o Options) (*Child, error) {
	o.Command, o.Env, o.Guardian = slices.Clone(o.Command), slices.Clone(o.Env), slices.Clone(o.Guardian)
	o.setDefaults()
	if err := errors.Join(Supported(), o.validate()); err != nil {
		return nil, err
	}
	return &Child{options: o}, nil
}

// Run is the Run of a shard.Role. It runs the program, again and again, until ctx is done, and returns once
// no process of it is left: nil, whatever became of the program. It fails at once if ctx is not that of a term.
func (c *Child) Run(ctx context.Context) error {
	term, ok := shard.TermFrom(ctx)
	if !ok {
		return errors.New("a program of an exec role was to be run outside of a term")
	}
	return c.serve(ctx, term)
}

// Term is what a program needs to know of the holding of a shard: [shard.Term] is one.
type Term interface {
	Shard() string
	Epoch() int32
	Token() int64
	// Remaining is how long the term is still valid, unless it is renewed before.
	Remaining() time.Duration
	Enter(ctx context.Context, text string) error
	Leave(text string)
}

// serve is Run in a term.
func (c *Child) serve(ctx context.Context, term Term) error {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithValues("role", term.Shard()))
	log := klog.FromContext(ctx)
	ledger := openLedger(ctx, term)
	defer ledger.close()
	limits := &limits{term: term, grace: c.options.TerminationGrace}
	pauses := pauses{Backoff: c.options.Restart}
	for starts := 0; ctx.Err() == nil; starts++ {
		if !limits.awaitTime(ctx) {
			return nil
		}
		began := time.Now()
		end := c.attempt(ctx, term, limits)
		if end == nil { // there was no time for it after all
			await(ctx, limits.look())
			continue
		}
		end.At, end.Pod, end.Restarts = time.Now().UTC().Truncate(time.Millisecond), c.options.Pod, starts
		ledger.note(*end)
		pause := pauses.after(time.Since(began), end.Stopped)
		if ctx.Err() != nil {
			log.Info("Program stopped", "end", end.String())
			return nil
		}
		if end.failed() {
			log.Error(nil, "Program ended", "end", end.String(), "again", pause)
		} else {
			log.Info("Program ended", "end", end.String(), "again", pause)
		}
		await(ctx, pause)
	}
	return nil
}

// environment is that of the program, in a term.
func (c *Child) environment(term Term) []string {
	return unique(slices.Concat(os.Environ(), c.options.Env, variables(term)))
}

// await waits for d, or until ctx is done.
func await(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
