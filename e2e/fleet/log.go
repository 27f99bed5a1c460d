// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"regexp"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	tailLines   = 15 // of a log, in an error
	linePoll    = 20 * time.Millisecond
	lineTimeout = 15 * time.Second
)

// What a replica logs once it listens.
var (
	servingLine    = regexp.MustCompile(`"Serving health and metrics".* address="([^"]+)"`)
	leadershipLine = regexp.MustCompile(`"Serving who leads".* address="([^"]+)"`)
)

// LogPath returns the file that the replica's processes have written all their output to.
func (r *Replica) LogPath() string { return r.log }

// Log returns the content of the log.
func (r *Replica) Log() (string, error) {
	text, err := os.ReadFile(r.log)
	if err != nil {
		return "", fmt.Errorf("log of replica %s: %w", r.Name(), err)
	}
	return string(text), nil
}

// HTTPAddress returns the host:port where the replica's process serves /metrics, /livez and /readyz, once it does.
func (r *Replica) HTTPAddress(ctx context.Context) (string, error) {
	address, err := r.current().AwaitLine(ctx, servingLine)
	if err != nil {
		return "", fmt.Errorf("where replica %s serves HTTP: %w", r.Name(), err)
	}
	return address, nil
}

// LeadershipAddress returns the host:port where the replica's process tells who leads, once it does.
func (r *Replica) LeadershipAddress(ctx context.Context) (string, error) {
	address, err := r.current().AwaitLine(ctx, leadershipLine)
	if err != nil {
		return "", fmt.Errorf("where replica %s tells who leads: %w", r.Name(), err)
	}
	return address, nil
}

// AwaitLine waits until what the process has written to its log matches the pattern, at most 15 s, and returns what the
// pattern's first group has matched. It is an error if the process ends before.
func (p *Process) AwaitLine(ctx context.Context, pattern *regexp.Regexp) (string, error) {
	found := ""
	err := wait.PollUntilContextTimeout(ctx, linePoll, lineTimeout, true, func(context.Context) (bool, error) {
		running := p.Running() // asked first: the line may be the last that it writes
		text, err := os.ReadFile(p.log)
		if err != nil {
			return false, err
		}
		if match := pattern.FindSubmatch(text[min(p.logFrom, len(text)):]); match != nil {
			found = string(match[1])
			return true, nil
		}
		if !running {
			return false, fmt.Errorf("the process has ended: %s", p.cmd.ProcessState)
		}
		return false, nil
	})
	if err != nil {
		return "", fmt.Errorf("waited for %q in the log: %w; %s", pattern, err, tail(p.log))
	}
	return found, nil
}

// tail is the end of a log for an error message, and where to find the rest.
func tail(log string) string {
	text, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return fmt.Sprintf("the end of %s:\n%s", log, bytes.Join(lines[max(0, len(lines)-tailLines):], []byte("\n")))
}
