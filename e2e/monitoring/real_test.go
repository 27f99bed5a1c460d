// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	prometheusv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// madeByPrometheus are series that no replica exposes.
var madeByPrometheus = []string{"ALERTS"}

// emptyIsGood are panels that show nothing while all is well.
var emptyIsGood = []string{"Firing alerts", "Requests that failed"}

// TestOnRealReplicas looks at the rules and the dashboard while three replicas are replaced by three new ones.
func TestOnRealReplicas(t *testing.T) {
	o := observe(t)
	began := time.Now()
	for _, name := range []string{"a", "b", "c"} {
		o.launch(t, name, 1)
	}
	o.awaitSpread(t)
	o.roll(t)
	o.awaitSpread(t)
	run := prometheusv1.Range{Start: began, End: time.Now(), Step: scrapeInterval}

	t.Run("RulesNameWhatThereIs", func(t *testing.T) {
		used := map[string]labels{}
		for _, r := range rules(t) {
			o.prometheus.addUses(t, r.Alert, r.Expr, used)
		}
		o.prometheus.expectAll(t, used, run)
	})
	t.Run("DashboardNamesWhatThereIs", func(t *testing.T) {
		used := map[string]labels{}
		for _, p := range loadDashboard(t).panels() {
			for _, target := range p.Targets {
				o.prometheus.addUses(t, p.Title, filled(target.Expr), used)
			}
		}
		o.prometheus.expectAll(t, used, run)
	})
	t.Run("VariablesHaveValues", func(t *testing.T) { o.prometheus.expectVariables(t, run) })
	t.Run("EveryPanelHasData", func(t *testing.T) { o.prometheus.expectData(t, run) })
	t.Run("NothingFires", func(t *testing.T) {
		if fired, _ := o.prometheus.ask(t, `ALERTS{alertstate="firing"}`, run); len(fired) > 0 {
			t.Errorf("a rolling update set off %v", fired)
		}
		o.prometheus.expectHealthyRules(t)
	})
}

// filled puts values into Grafana's variables. Grafana's own rate interval is four scrape intervals at least.
func filled(query string) string {
	return strings.NewReplacer(
		"$namespace", namespace, "$group", group, "$pod", "a|b|c|x|y|z", "$__rate_interval", (15 * scrapeInterval).String(),
	).Replace(query)
}

func (s *server) addUses(t *testing.T, where, query string, used map[string]labels) {
	t.Helper()
	e, err := s.parse(t.Context(), query)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return
	}
	e.uses(used)
}

// expectAll fails the test for every metric that no replica has, and for every label, or value of one, that none of its
// series has.
func (s *server) expectAll(t *testing.T, used map[string]labels, run prometheusv1.Range) {
	t.Helper()
	for _, metric := range inOrder(used) {
		if slices.Contains(madeByPrometheus, metric) {
			continue
		}
		series, _, _, err := s.Series(t.Context(), []string{metric}, run.Start, run.End)
		if err != nil {
			t.Fatal(err)
		}
		if len(series) == 0 {
			t.Errorf("no replica has the metric %s", metric)
			continue
		}
		for label, values := range used[metric] {
			has := map[string]bool{}
			for _, one := range series {
				if value, ok := one[model.LabelName(label)]; ok {
					has[string(value)] = true
				}
			}
			if len(has) == 0 {
				t.Errorf("no series of %s has the label %s", metric, label)
				continue
			}
			for _, value := range values {
				if !has[value] {
					t.Errorf("no series of %s has %s=%q; there are %v", metric, label, value, slices.Sorted(maps.Keys(has)))
				}
			}
		}
	}
}

// labelValues is what Grafana calls the query of a variable.
var labelValues = regexp.MustCompile(`^label_values\((.*), ([a-z]+)\)$`)

func (s *server) expectVariables(t *testing.T, run prometheusv1.Range) {
	want := map[string]int{"namespace": 1, "group": 1, "pod": 6}
	for _, v := range loadDashboard(t).Templating.List {
		if v.Definition == "" {
			continue
		}
		parts := labelValues.FindStringSubmatch(v.Definition)
		if parts == nil {
			t.Errorf("variable %s: %q asks for no label's values", v.Name, v.Definition)
			continue
		}
		values, _, _, err := s.LabelValues(t.Context(), parts[2], []string{filled(parts[1])}, run.Start, run.End)
		if err != nil || len(values) != want[v.Name] {
			t.Errorf("variable %s has the values %v, want %d: %v", v.Name, values, want[v.Name], err)
		}
	}
}

// ask evaluates a query at every step of the run, and returns the series with at least one value that is a number.
func (s *server) ask(t *testing.T, query string, run prometheusv1.Range) (found model.Matrix, points int) {
	t.Helper()
	value, warnings, _, err := s.QueryRange(t.Context(), query, run)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if len(warnings) > 0 {
		t.Errorf("%s: %v", query, warnings)
	}
	matrix, ok := value.(model.Matrix)
	if !ok {
		t.Fatalf("%s is %T", query, value)
	}
	for _, series := range matrix {
		series.Values = slices.DeleteFunc(series.Values, func(p model.SamplePair) bool { return math.IsNaN(float64(p.Value)) })
		if len(series.Values) > 0 {
			found = append(found, series)
			points += len(series.Values)
		}
	}
	return found, points
}

// placeholder is a label in a legend.
var placeholder = regexp.MustCompile(`\{\{(\w+)\}\}`)

// expectData evaluates every panel as Grafana does, and logs what it would draw.
func (s *server) expectData(t *testing.T, run prometheusv1.Range) {
	var overview strings.Builder
	table := tabwriter.NewWriter(&overview, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "panel\tseries\tpoints\tlowest\thighest\tfirst legend")
	for _, p := range loadDashboard(t).panels() {
		for _, target := range p.Targets {
			found, points := s.ask(t, filled(target.Expr), run)
			if len(found) == 0 {
				if !slices.Contains(emptyIsGood, p.Title) {
					t.Errorf("panel %q has no data: %s", p.Title, filled(target.Expr))
				}
				continue
			}
			for _, series := range found {
				for _, label := range placeholder.FindAllStringSubmatch(target.Legend, -1) {
					if series.Metric[model.LabelName(label[1])] == "" {
						t.Errorf("panel %q: %v has no label %s for the legend", p.Title, series.Metric, label[1])
					}
				}
			}
			low, high := extremes(found)
			legend := placeholder.ReplaceAllStringFunc(target.Legend, func(label string) string {
				return string(found[0].Metric[model.LabelName(strings.Trim(label, "{}"))])
			})
			fmt.Fprintf(table, "%s\t%d\t%d\t%.4g\t%.4g\t%s\n", p.Title, len(found), points, low, high, legend)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("the dashboard over %s:\n%s", run.End.Sub(run.Start).Round(time.Second), &overview)
}

func extremes(all model.Matrix) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, series := range all {
		for _, p := range series.Values {
			low, high = min(low, float64(p.Value)), max(high, float64(p.Value))
		}
	}
	return low, high
}

// expectHealthyRules fails the test if a rule could not be evaluated, or never was.
func (s *server) expectHealthyRules(t *testing.T) {
	eventually(t, "all rules were evaluated", func(ctx context.Context) error {
		result, err := s.Rules(ctx, nil)
		if err != nil {
			return err
		}
		evaluated := 0
		for _, g := range result.Groups {
			for _, r := range g.Rules {
				alert, ok := r.(prometheusv1.AlertingRule)
				if !ok || alert.Health != prometheusv1.RuleHealthGood {
					return fmt.Errorf("%+v is not well", r)
				}
				evaluated++
			}
		}
		if want := len(rules(t)); evaluated != want {
			return fmt.Errorf("%d rules were evaluated, not %d", evaluated, want)
		}
		return nil
	})
}
