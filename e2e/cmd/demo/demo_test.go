// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// output is what the demo has written, and calls onWrite with all of it after each write.
type output struct {
	mu      sync.Mutex
	text    bytes.Buffer
	onWrite func(text string)
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, err := o.text.Write(p)
	if o.onWrite != nil {
		o.onWrite(o.text.String())
	}
	return n, err
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// TestDemo has the demo leave everything running, which is the longer way, and ends it as a user would.
func TestDemo(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var d *demo
	kept := 0
	out := &output{onWrite: func(text string) {
		if strings.HasSuffix(text, "demo: ok\n") {
			kept = len(d.fleet.Replicas())
			interrupt()
		}
	}}
	d = newDemo(out, settings{keep: true})
	if err := d.run(ctx); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if kept != replicas {
		t.Errorf("%d replicas were left running, want %d", kept, replicas)
	}
	for _, want := range []string{
		`Every one of the 4 x 200 objects is reconciled`,
		`Who wrote their status last, by the API server's audit log:\n +TYPE +OBJECTS +BY\n +widgets +200 +replica-\d`,
		`replica-\d took over widgets after \d+\.\d\ds, and the first status was written after \d+\.\d\ds`,
		`replica-7 joined, replica-\d handed over and exited with 0`,
		`\n- replica-\d was killed by SIGKILL`,
		`\n  export KUBECONFIG=` + regexp.QuoteMeta(d.cluster.KubeconfigPath()) + `\n`,
		`\ndemo: ok\n$`,
	} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("the output lacks %q", want)
		}
	}
	expectNothingLeft(t, d)
	if t.Failed() {
		t.Log(out)
	}
}

func TestInterruptedDemoLeavesNothing(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &output{onWrite: func(text string) {
		if strings.Contains(text, "kill -9") {
			interrupt()
		}
	}}
	d := newDemo(out, settings{})
	if err := d.run(ctx); !errors.Is(err, errInterrupted) {
		t.Errorf("run returned %v, want %v\n%s", err, errInterrupted, out)
	}
	if strings.Contains(out.String(), "demo: ok") {
		t.Errorf("an interrupted demo says that it is ok:\n%s", out)
	}
	expectNothingLeft(t, d)
}

func expectNothingLeft(t *testing.T, d *demo) {
	t.Helper()
	if running := d.fleet.Replicas(); len(running) > 0 {
		t.Errorf("%d replicas are still running", len(running))
	}
	for _, dir := range []string{d.dir, d.cp.Dir()} {
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	}
}
