// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/shardctl/shardctl/e2e/controlplane"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want settings
	}{
		{"nothing", nil, settings{}},
		{"audit log without a level", []string{"--audit"}, settings{options: controlplane.Options{Audit: controlplane.AuditMetadata}}},
		{"audit log with a level", []string{"--audit=Request"}, settings{options: controlplane.Options{Audit: controlplane.AuditRequest}}},
		{"no controllers", []string{"--no-controller-manager"}, settings{options: controlplane.Options{NoControllerManager: true}}},
		{"some controllers", []string{"--controllers=a,b"}, settings{options: controlplane.Options{Controllers: []string{"a", "b"}}}},
		{"directories", []string{"--dir=data", "--log-dir=logs"}, settings{options: controlplane.Options{Dir: "data", LogDir: "logs"}}},
		{"history", []string{"--keep-history"}, settings{options: controlplane.Options{KeepHistory: true}}},
		{"build only", []string{"--build-only"}, settings{buildOnly: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stderr bytes.Buffer
			got, err := parse(test.args, &stderr)
			if err != nil {
				t.Fatal(err)
			}
			test.want.options.Output = &stderr
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("the settings are %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"an argument", []string{"start"}, `"start": no arguments are expected, only flags (see --help)`},
		{"a flag that does not exist", []string{"--kubeconfig=x"}, "unknown flag: --kubeconfig"},
		{"an audit level that does not exist", []string{"--audit=metadata"}, `audit: "metadata" is not a level`},
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
	if !strings.Contains(stderr.String(), "--no-controller-manager") {
		t.Errorf("the help is %q", stderr.String())
	}
}

func TestBuildOnlyPrintsWhereTheServersAre(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"--build-only"}, &stdout, &stderr); err != nil {
		t.Fatal(err)
	}
	server := filepath.Join(strings.TrimSuffix(stdout.String(), "\n"), "kube-apiserver")
	if _, err := os.Stat(server); err != nil {
		t.Error(err)
	}
}

func TestQuote(t *testing.T) {
	for path, want := range map[string]string{
		"/data/a b":  "'/data/a b'",
		"/data/it's": `'/data/it'\''s'`,
		"/data/$x":   "'/data/$x'",
	} {
		if got := quote(path); got != want {
			t.Errorf("quote(%q) = %s, want %s", path, got, want)
		}
	}
}
