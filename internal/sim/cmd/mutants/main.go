// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// errSurvived: a bug that the simulator does not notice is a bug of the
// simulator.
var errSurvived = errors.New("not every mutant was killed")

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	histories := flags.Uint64("histories", 20_000, "histories within which a mutant has to be caught")
	only := flags.String("run", "", "run only the mutants of this rule (R1), or whose name contains this")
	list := flags.Bool("list", false, "only print the mutants")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: leave it out, or say -run %q", flags.Arg(0), flags.Arg(0))
	}
	if *histories == 0 {
		return errors.New("-histories 0 would let every mutant live: use 1 or more")
	}
	chosen := choose(*only)
	if len(chosen) == 0 {
		return fmt.Errorf("-run %q: no mutant is called that, and none is of that rule: see -list", *only)
	}
	if *list {
		for _, m := range chosen {
			fmt.Fprintf(out, "%-4s %s\n", m.rule, m.name)
		}
		return nil
	}
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return fmt.Errorf("a directory for the mutants: %w", err)
	}
	defer os.RemoveAll(dir)
	killed, err := (&hunter{root: root, dir: dir, histories: *histories, out: out}).hunt(ctx, chosen)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "mutants: %d of %d killed\n", killed, len(chosen))
	if killed < len(chosen) {
		return errSurvived
	}
	return nil
}

// choose returns the mutants of a rule, or else those whose name contains part.
func choose(part string) []mutant {
	var chosen []mutant
	for _, m := range mutants {
		if m.rule == part || strings.Contains(m.name, part) {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// hunter builds mutants and sets the simulator on them.
type hunter struct {
	root, dir string
	histories uint64
	mu        sync.Mutex
	out       io.Writer
}

// hunt returns how many of the mutants were killed. One is built while another
// runs.
func (h *hunter) hunt(ctx context.Context, chosen []mutant) (killed int, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	results := make([]bool, len(chosen))
	for i, m := range chosen {
		g.Go(func() error {
			began := time.Now()
			verdict, err := h.kill(ctx, filepath.Join(h.dir, strconv.Itoa(i)), m)
			if err != nil {
				return err
			}
			results[i] = verdict != ""
			h.report(m, verdict, time.Since(began))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	for _, dead := range results {
		if dead {
			killed++
		}
	}
	return killed, nil
}

func (h *hunter) report(m mutant, verdict string, took time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if verdict == "" {
		verdict = fmt.Sprintf("SURVIVED %d histories", h.histories)
	}
	fmt.Fprintf(h.out, "%-4s %-62s %5.1f s  %s\n", m.rule, m.name, took.Seconds(), verdict)
}

// kill builds the simulator with the mutant and runs it; it returns the
// violation that it found, or nothing.
func (h *hunter) kill(ctx context.Context, dir string, m mutant) (violation string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("mutant %q: %w", m.name, err)
	}
	overlay, err := m.overlay(h.root, dir)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "sim")
	build := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-ldflags=-s -w", "-o", binary, "./internal/sim/cmd/sim")
	build.Env = append(os.Environ(), "GOGC=400") // the compiler's own garbage collection is a quarter of its work
	build.Dir = h.root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mutant %q does not build: %w\n%s", m.name, err, out)
	}
	defer os.Remove(binary)
	sim := exec.CommandContext(ctx, binary, "-histories", strconv.FormatUint(h.histories, 10), "-workers=1", "-minimize=false")
	out, err := sim.Output()
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return "", nil
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return violationIn(out)
	}
	return "", fmt.Errorf("mutant %q: the simulator failed: %w\n%s", m.name, err, out)
}

// violationIn finds what the simulator says of the first violation, or of what
// cannot happen any more.
func violationIn(out []byte) (string, error) {
	for line := range bytes.Lines(out) {
		violation, ok := bytes.CutPrefix(line, []byte("violation: "))
		if ok || bytes.HasPrefix(line, []byte("never happened: ")) {
			text := strings.TrimSpace(string(violation))
			return text[:min(len(text), 110)], nil
		}
	}
	return "", fmt.Errorf("the simulator failed without a violation:\n%s", out)
}
