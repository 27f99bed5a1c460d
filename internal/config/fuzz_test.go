// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/shardctl/shardctl/internal/endpoint"
	"github.com/shardctl/shardctl/pkg/lease"
)

// FuzzParse looks for panics, for files that are accepted though they break a
// rule, and for refusals without a place or a reason.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "---\n...\n", head, head + widgets, gadgets, head + widgets + "---\n" + gadgets,
		head + "  balance: {tolerance: 1e-9, budget: 1}\n" + widgets + "    buckets: 4\n    partition: key\n---\n" + gadgets,
		head + "  workers: 0\n  workers: 1\n", head + "  timings: {preset: fast, renewInterval: 1}\n" + widgets,
		head + "  http: {address: \"localhost:1\", authorization: {protect: [pprof]}, tls: {certFile: c, keyFile: k}}\n  events: false\n" + widgets,
		head + "  leadership: {address: none, root: l}\n  roles:\n  - {name: l, leadership: {grace: 0s}, readiness: {pod: {}, interval: 100ms}}\n",
		head + "  drainTimeout: 1ms\n  roles:\n  - {name: e, exec: {command: [x], restart: {initial: 1h}}, readiness: {tcp: {address: \"a:1\"}}}\n",
		head + "  roles:\n  - {name: s, schedule: {cron: \"@hourly\", startingDeadlineSeconds: 1, webhook: {url: \"http://a\"}}}\n",
		"- 1\n", "a: &a [*a]\n", "? {}\n: 1\n", "<<: {kind: Configuration}\n", "%YAML 1.1\n---\na: 1\n", "\ufeffa: .inf\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, err := Parse("fuzz.yaml", data)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		checkAccepted(t, config)
	})
}

func checkRefusal(t *testing.T, err error) {
	t.Helper()
	var invalid *InvalidError
	if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
		t.Fatalf("error %v, want an InvalidError with problems", err)
	}
	for _, problem := range invalid.Problems {
		if problem.File != "fuzz.yaml" || problem.Detail == "" || strings.Contains(problem.Field, "<nil>") {
			t.Errorf("problem without a place or a reason: %+v", problem)
		}
	}
}

func checkAccepted(t *testing.T, config *Config) {
	t.Helper()
	if len(validation.IsDNS1123Label(config.Name)) > 0 {
		t.Errorf("accepted a group of the name %q", config.Name)
	}
	if errs := config.Timings.Validate(field.NewPath("timings")); len(errs) > 0 {
		t.Errorf("accepted timings: %v", errs.ToAggregate())
	}
	if len(config.HTTPProtect) > 0 && config.HTTPTLS == (endpoint.Files{}) && !loopback(config.HTTPAddress) {
		t.Errorf("accepted tokens in the clear at %s", config.HTTPAddress)
	}
	if config.DrainTimeout <= 0 || config.DrainTimeout > maxDrainTimeout {
		t.Errorf("accepted a drain time-out of %s", config.DrainTimeout)
	}
	if config.Workers < 1 || config.Workers > maxWorkers {
		t.Errorf("accepted %d workers", config.Workers)
	}
	if b := config.Balance; b.Tolerance < 0 || b.Tolerance > 1 || b.Budget < 0 || b.Budget > maxBudget || b.Cooldown < 0 || b.Cooldown > maxCooldown {
		t.Errorf("accepted the balance %+v", b)
	}
	if len(config.Roles) == 0 || len(config.Roles) > MaxRoles {
		t.Errorf("accepted %d roles", len(config.Roles))
	}
	seen := map[string]bool{}
	for _, role := range config.Roles {
		if role.Buckets < 1 || role.Buckets > lease.MaxBuckets || !slices.Contains(lease.Partitions(), role.Partition) {
			t.Errorf("accepted %d buckets by %q", role.Buckets, role.Partition)
		}
		if seen[role.Name] || role.Decorator != nil && role.Decorator.Name() != role.Name {
			t.Errorf("accepted the role %+v", role)
		}
		seen[role.Name] = true
		checkKind(t, config, role)
	}
	if l := config.Leadership; l.Address != "" && !loopback(l.Address) && (!l.Authorization || l.TLS == (endpoint.Files{})) {
		t.Errorf("accepted the local endpoint %+v", l)
	}
}

// checkKind looks for a role that is not of exactly one kind, or is more than its kind allows.
func checkKind(t *testing.T, config *Config, role Role) {
	t.Helper()
	kinds := 0
	for _, is := range []bool{role.Decorator != nil, role.Schedule != nil, role.Exec != nil, role.Lead != nil} {
		if is {
			kinds++
		}
	}
	if kinds != 1 || role.Decorator != nil && role.Readiness != nil || role.Decorator == nil && role.Buckets != 1 {
		t.Errorf("accepted the role %+v", role)
	}
	if s := role.Schedule; s != nil && (s.Cron == "" || s.StartingDeadline < 0 || s.Action == nil || len(s.Action.Validate(nil)) > 0) {
		t.Errorf("accepted the schedule %+v", s)
	}
	if e := role.Exec; e != nil && (len(e.Command) == 0 || e.TerminationGrace <= 0 || e.TerminationGrace >= max(config.DrainTimeout, 2*time.Millisecond) ||
		e.RestartInitial < minInterval || e.RestartMax < e.RestartInitial || e.RestartMax > maxPause) {
		t.Errorf("accepted the program %+v", e)
	}
	if l := role.Lead; l != nil && (l.Grace < 0 || l.Grace >= config.DrainTimeout) {
		t.Errorf("accepted the leadership %+v", l)
	}
	if r := role.Readiness; r != nil && (len(r.Probe.Validate(nil)) > 0 || r.Interval < minInterval || r.Timeout < minTimeout || r.Timeout > r.Interval ||
		r.FailureThreshold < 1 || r.SuccessThreshold < 1) {
		t.Errorf("accepted the readiness %+v", r)
	}
}

// FuzzSplit looks for text that gets lost and for lines that are miscounted.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		"", "a", "---", "---\n", "...\n", "a: 1\n---\nb: 2\n", "a: 1\n...\nb: 2\n", "--- a\n--- b\n", "a: |\n  ---\n  ...\nb: 1\n",
		"a: 1\r\n---\r\nb: 2\r\n", "a: \"\n---\n\"\n", "# a\n--- # b\n...# c\n", "...\n...\n---\n---\n", "\ufeff---\na: 1\n---\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var joined []byte
		for _, document := range split(data) {
			if want := 1 + bytes.Count(joined, []byte("\n")); document.line != want {
				t.Errorf("line %d, want %d for %q", document.line, want, document.text)
			}
			joined = append(joined, document.text...)
		}
		if !bytes.Equal(joined, data) {
			t.Errorf("the documents together are %q, want %q", joined, data)
		}
	})
}
