// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/shardctl/shardctl/pkg/lease"
)

// execute runs the command line and returns what it printed.
func execute(args ...string) (string, error) {
	var out strings.Builder
	cmd := New()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	err := cmd.Execute()
	return out.String(), err
}

// What is wrong on the command line is said before anything is sent.
func TestCommandRefusesWhatItCannotDo(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent.yaml")
	for _, tc := range []struct{ args, want string }{
		{"status -o table", `-o: "table" is not allowed: use json, yaml, wide`},
		{"status extra", "unknown command"},
		{"status --kubeconfig " + absent, "finding the cluster"},
		{"run", `"config" not set`},
		{"run --config " + absent, "absent.yaml"},
		{"validate " + absent, "absent.yaml"},
		{"lead", "unknown command"},
		{"move a", "accepts 2 arg(s), received 1"},
		{"move a b --timeout=0s", "--timeout: 0s is not allowed: use more than 0, or --no-wait"},
		{"drain a --timeout=-1s", "--timeout: -1s is not allowed"},
		{"unpin", "accepts 1 arg(s), received 0"},
		{"uncordon", "accepts 1 arg(s), received 0"},
		{"drain a --kubeconfig " + absent, "finding the cluster"},
	} {
		if _, err := execute(strings.Fields(tc.args)...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("shardctl %s: %v, want %q", tc.args, err, tc.want)
		}
	}
}

func TestCommandValidateSaysWhatItFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.yaml")
	config := `{apiVersion: shardctl.dev/v1alpha1, kind: Configuration, metadata: {name: g}, spec: {timings: {preset: fast}, roles: [
		{name: r, decorator: {resources: [{apiVersion: v1, resource: pods}], hooks: {sync: {webhook: {url: "http://localhost/"}}}}}]}}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := execute("validate", file)
	if want := "is valid: group g, 1 roles"; err != nil || !strings.Contains(out, want) || !strings.Contains(out, "1.71") {
		t.Errorf("validate printed %q, error %v; want %q and the bound of the clock rates", out, err, want)
	}
}

func TestCommandStatusNeedsToKnowTheGroup(t *testing.T) {
	of := func(groups ...string) []coordinationv1.Lease {
		leases := make([]coordinationv1.Lease, len(groups))
		for i, g := range groups {
			leases[i].ObjectMeta = metav1.ObjectMeta{Labels: map[string]string{lease.LabelGroup: g}}
		}
		return leases
	}
	for _, tc := range []struct {
		name   string
		leases []coordinationv1.Lease
		asked  string
		want   string
		err    string
	}{
		{"the only one", of("a", "a"), "", "a", ""},
		{"the one that was asked for", of("a"), "a", "a", ""},
		{"none", nil, "", "", "there is no group in namespace ns"},
		{"not the one that was asked for", nil, "a", "", `there is no group "a" in namespace ns`},
		{"several", of("b", "a"), "", "", "choose with --group: a, b"},
	} {
		got, err := theGroup(tc.leases, tc.asked, "ns")
		if got != tc.want || (err != nil) != (tc.err != "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: %q, %v; want %q, %q", tc.name, got, err, tc.want, tc.err)
		}
	}
}
