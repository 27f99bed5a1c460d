// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// dashboard is what the tests look at of Grafana's JSON.
type dashboard struct {
	UID           string  `json:"uid"`
	SchemaVersion int     `json:"schemaVersion"`
	Panels        []panel `json:"panels"`
	Templating    struct {
		List []variable `json:"list"`
	} `json:"templating"`
}

type variable struct {
	Name       string `json:"name"`
	Definition string `json:"definition"`
}

type panel struct {
	ID          int        `json:"id"`
	Type        string     `json:"type"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	Datasource  datasource `json:"datasource"`
	GridPos     struct {
		X, Y, W, H int
	} `json:"gridPos"`
	Targets []struct {
		Expr       string     `json:"expr"`
		Legend     string     `json:"legendFormat"`
		Datasource datasource `json:"datasource"`
	} `json:"targets"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
}

type datasource struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// panels returns the dashboard's, without the rows' headings.
func (d dashboard) panels() (all []panel) {
	for _, p := range d.Panels {
		if p.Type != "row" {
			all = append(all, p)
		}
	}
	return all
}

func loadDashboard(t *testing.T) dashboard {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal(read(t, "dashboard.json"), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.panels()) == 0 {
		t.Fatal("the dashboard has no panels")
	}
	return d
}

func TestEveryPanelSaysWhatItShows(t *testing.T) {
	variable := datasource{Type: "prometheus", UID: "${datasource}"}
	for _, p := range loadDashboard(t).panels() {
		for what, text := range map[string]string{"title": p.Title, "description": p.Description, "unit": p.FieldConfig.Defaults.Unit} {
			if text == "" {
				t.Errorf("panel %d (%s) has no %s", p.ID, p.Title, what)
			}
		}
		if len(p.Targets) == 0 || p.Datasource != variable {
			t.Errorf("panel %q has %d queries to %v, want some to %v", p.Title, len(p.Targets), p.Datasource, variable)
		}
		for _, target := range p.Targets {
			if target.Legend == "" || target.Datasource != variable {
				t.Errorf("panel %q: the query %s has the legend %q and goes to %v", p.Title, target.Expr, target.Legend, target.Datasource)
			}
		}
	}
}

// TestPanelsHaveTheirPlaces: Grafana mends two panels with one ID or in one place by moving some, differently each time.
func TestPanelsHaveTheirPlaces(t *testing.T) {
	const columns = 24
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range loadDashboard(t).Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has the ID %d of another", p.Title, p.ID)
		}
		ids[p.ID] = true
		if g := p.GridPos; g.W <= 0 || g.H <= 0 || g.X < 0 || g.X+g.W > columns {
			t.Errorf("panel %q is not within %d columns: %+v", p.Title, columns, g)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				cell := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other, ok := taken[cell]; ok {
					t.Fatalf("panels %q and %q overlap", other, p.Title)
				}
				taken[cell] = p.Title
			}
		}
	}
}

func TestDashboardIsForOneGroup(t *testing.T) {
	d := loadDashboard(t)
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
	}
	if got, want := fmt.Sprint(names), "[datasource namespace group pod]"; got != want {
		t.Errorf("the variables are %s, want %s: each by those before it", got, want)
	}
	for _, p := range d.panels() {
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, `namespace="$namespace"`) {
				t.Errorf("panel %q: the query %s is about all namespaces", p.Title, target.Expr)
			}
		}
	}
}
