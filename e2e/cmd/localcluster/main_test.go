// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestRunRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"an argument", []string{"start"}, `"start": no arguments are expected, only flags (see --help)`},
		{"a flag that does not exist", []string{"--kubeconfig=x"}, "unknown flag: --kubeconfig"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), test.args, &stdout, &stderr)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("run returned %v, want %q", err, test.want)
			}
			if stdout.Len() > 0 {
				t.Errorf("the output is %q, want none", stdout.String())
			}
		})
	}
}

func TestHelpIsNotAnError(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"--help"}, &stdout, &stderr); err != nil {
		t.Error(err)
	}
	if !strings.Contains(stderr.String(), "--nodes") {
		t.Errorf("the help is %q", stderr.String())
	}
}

// An interrupted start is no failure unless something was left behind.
func TestMoreThanOne(t *testing.T) {
	interrupted, left := errors.New("start: interrupted"), errors.New("a link is left")
	for _, test := range []struct {
		name string
		err  error
		want bool
	}{
		{"one", interrupted, false},
		{"joined to nothing", errors.Join(errors.Join(interrupted, nil), nil), false},
		{"joined in what it wraps", fmt.Errorf("start: %w", errors.Join(interrupted, errors.New("last answer: 500"))), false},
		{"the control plane is left", errors.Join(errors.Join(interrupted, nil), left), true},
		{"a node is left", errors.Join(errors.Join(interrupted, left), nil), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := moreThanOne(test.err); got != test.want {
				t.Errorf("moreThanOne(%q) = %t, want %t", test.err, got, test.want)
			}
		})
	}
}
