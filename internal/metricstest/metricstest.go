// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

// Package metricstest keeps docs/metrics.md true, in the tests of the packages that
// have metrics: each compares what it has registered with its section of that page, in
// both directions, and lints it.
package metricstest

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// Sections of docs/metrics.md.
const (
	Group    = "The group"
	Command  = "The command"
	ClientGo = "client-go"
)

// Compare fails the test for every metric that is gathered but is not in the section, is
// there with another type or other labels, or is in the section but is not gathered. So
// each of them needs a series. Those are left out whose names do not begin with any of the
// prefixes.
func Compare(t *testing.T, g prometheus.Gatherer, section string, prefixes ...string) {
	t.Helper()
	have, documented := gathered(t, g, prefixes), Documented(t, section)
	for name, signature := range have {
		switch documented[name] {
		case signature:
		case "":
			t.Errorf("docs/metrics.md, %s: add a row for %s: %s", section, name, signature)
		default:
			t.Errorf("docs/metrics.md, %s: the row of %s says %s, but it is %s", section, name, documented[name], signature)
		}
	}
	for name := range documented {
		if have[name] == "" {
			t.Errorf("docs/metrics.md, %s: %s is not there, or has no series in this test", section, name)
		}
	}
}

// Lint fails the test for everything that the linter of Prometheus has to say.
func Lint(t *testing.T, g prometheus.Gatherer) {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// gathered are types and labels, such as "counter{cause,group}", by name.
func gathered(t *testing.T, g prometheus.Gatherer, prefixes []string) map[string]string {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, f := range families {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(f.GetName(), p) }) {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		all[f.GetName()] = signature(strings.ToLower(f.GetType().String()), labels)
	}
	return all
}

func signature(kind string, labels []string) string {
	slices.Sort(labels)
	return kind + "{" + strings.Join(labels, ",") + "}"
}

// row is one of a table: name, type, unit, labels.
var row = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\w+) \\|[^|]*\\|([^|]*)\\|")

// Documented are types and labels of the metrics in a section, by name.
func Documented(t *testing.T, section string) map[string]string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(here), "..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("docs/metrics.md has no section %q", section)
	}
	part, _, _ := strings.Cut(after, "\n## ")
	all := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(part, -1) {
		all[m[1]] = signature(m[2], strings.FieldsFunc(m[3], func(r rune) bool { return strings.ContainsRune("`, ", r) }))
	}
	return all
}
