// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"testing"
)

// expression is a query as Prometheus parses it: the fields of all kinds of nodes that the tests look at.
type expression struct {
	Type string `json:"type"`

	// Of a selector of a vector or of a matrix.
	Name     string `json:"name"`
	Matchers []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
		Type  string `json:"type"`
	} `json:"matchers"`

	// Of an aggregation.
	Grouping []string `json:"grouping"`

	// Of an operator between two vectors.
	Matching struct {
		Labels  []string `json:"labels"`
		Include []string `json:"include"` // of the side that is one
	} `json:"matching"`

	Expr *expression   `json:"expr"`
	LHS  *expression   `json:"lhs"`
	RHS  *expression   `json:"rhs"`
	Args []*expression `json:"args"`
}

// parse has Prometheus parse a query.
func (s *server) parse(ctx context.Context, query string) (*expression, error) {
	var answer struct {
		Data *expression `json:"data"`
	}
	if err := s.get(ctx, "/api/v1/parse_query", url.Values{"query": {query}}, &answer); err != nil {
		return nil, err
	}
	return answer.Data, nil
}

// labels are names of labels, each with the values that are asked for by name.
type labels map[string][]string

// uses adds to used what the expression takes the metrics to be like. wanted are the labels that what is around it needs.
func (e *expression) uses(used map[string]labels, wanted ...string) {
	if e == nil {
		return
	}
	if e.Type == "vectorSelector" || e.Type == "matrixSelector" {
		e.selects(used, wanted)
	}
	if e.Type == "binaryExpr" && len(e.Matching.Labels) > 0 {
		e.joins(used, wanted)
		return
	}
	for _, below := range slices.Concat([]*expression{e.Expr, e.LHS, e.RHS}, e.Args) {
		below.uses(used, slices.Concat(wanted, e.Grouping)...)
	}
}

// joins is uses for two vectors that are matched on some labels: the others come from the left, which is the side that
// may have many, except those that are included from the right.
func (e *expression) joins(used map[string]labels, wanted []string) {
	ofRight := func(label string) bool { return slices.Contains(e.Matching.Include, label) }
	e.LHS.uses(used, slices.Concat(slices.DeleteFunc(slices.Clone(wanted), ofRight), e.Matching.Labels)...)
	e.RHS.uses(used, slices.Concat(e.Matching.Include, e.Matching.Labels)...)
}

func (e *expression) selects(used map[string]labels, wanted []string) {
	if used[e.Name] == nil {
		used[e.Name] = labels{}
	}
	of := used[e.Name]
	for _, label := range wanted {
		of[label] = slices.Concat(of[label])
	}
	for _, m := range e.Matchers {
		switch {
		case m.Name == "__name__":
		case (m.Type == "=" || m.Type == "!=") && m.Value != "":
			of[m.Name] = append(of[m.Name], m.Value)
		default:
			of[m.Name] = slices.Concat(of[m.Name])
		}
	}
}

// TestUses: a check that finds nothing proves nothing.
func TestUses(t *testing.T) {
	s := startPrometheus(t)
	e, err := s.parse(t.Context(), `max by (a) (sum by (a, b) (rate(m{c="1", d=~"x"}[1m])) * on (a) group_left (e) (n == 1))`)
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]labels{}
	e.uses(used)
	if got, want := fmt.Sprint(used), "map[m:map[a:[] b:[] c:[1] d:[]] n:map[a:[] e:[]]]"; got != want {
		t.Errorf("the query uses %s, want %s", got, want)
	}
	if _, err := s.parse(t.Context(), "sum by (a"); err == nil {
		t.Error("what is no query was parsed")
	}
}

// inOrder returns the names of what is used.
func inOrder(used map[string]labels) []string { return slices.Sorted(maps.Keys(used)) }
