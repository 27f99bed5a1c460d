// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
)

// maxColumns is how many columns a table may have before it is turned round.
const maxColumns = 6

// table has a row for each thing that was measured of a part, and a column for each of those it was measured of.
type table struct {
	columns []string
	rows    []*row
}

// row is one line of a table.
type row struct {
	name, unit string
	cells      map[string]figure // by column
}

// markdown is a part as GitHub reads it: a table of what is about contenders, and one of what is not; for each subject, if the
// part has several.
func (m measurement) markdown() string {
	tables := m.tables("")
	for _, subject := range subjects()[m.Part] {
		if of := m.tables(subject); of != nil {
			tables = append(append(tables, "Of "+title(subject)+":\n"), of...)
		}
	}
	return strings.Join(tables, "\n")
}

// tables are of the figures of a subject, or of those of none.
func (m measurement) tables(subject string) []string {
	about, rest := table{}, table{}
	for _, f := range m.Figures {
		name, of := m.subject(f)
		if of != subject {
			continue
		}
		column, name := m.column(f, name)
		if column == "" {
			rest.put(name, "value", f)
		} else {
			about.put(name, column, f)
		}
	}
	about.sortColumns()
	var tables []string
	for _, t := range []table{about, rest} {
		if len(t.rows) > 0 {
			tables = append(tables, t.markdown())
		}
	}
	return tables
}

// subject is what a figure is of, and the rest of its name; empty if it is of no subject.
func (m measurement) subject(f figure) (name, subject string) {
	for _, s := range subjects()[m.Part] {
		if name, ok := strings.CutSuffix(f.Name, "_"+s); ok {
			return name, s
		}
	}
	return f.Name, ""
}

// column is that of a figure, and the rest of its name; empty if it is about nobody in particular.
func (m measurement) column(f figure, name string) (column, rest string) {
	for _, s := range situations()[m.Part] {
		if after, ok := strings.CutPrefix(name, s+"_"); ok {
			return title(s), after
		}
	}
	return string(f.Who), name
}

func (t *table) put(name, column string, f figure) {
	if !slices.Contains(t.columns, column) {
		t.columns = append(t.columns, column)
	}
	i := slices.IndexFunc(t.rows, func(r *row) bool { return r.name == name && r.unit == f.Unit })
	if i < 0 {
		i = len(t.rows)
		t.rows = append(t.rows, &row{name: name, unit: f.Unit, cells: map[string]figure{}})
	}
	t.rows[i].cells[column] = f
}

// sortColumns puts contenders into their order; others follow in the order in which they were measured.
func (t *table) sortColumns() {
	rank := func(column string) int {
		if i := slices.Index(contenders(), contender(column)); i >= 0 {
			return i
		}
		return len(contenders())
	}
	slices.SortStableFunc(t.columns, func(x, y string) int { return rank(x) - rank(y) })
}

// upright has a column more for targets, if there are any.
func (t *table) upright() [][]string {
	targets := slices.ContainsFunc(t.rows, func(r *row) bool { return r.target(t.columns) != "" })
	header := append([]string{""}, t.columns...)
	if targets {
		header = append(header, "target")
	}
	lines := [][]string{header}
	for _, r := range t.rows {
		line := []string{r.title()}
		for _, column := range t.columns {
			line = append(line, r.cell(column))
		}
		if targets {
			line = append(line, r.target(t.columns))
		}
		lines = append(lines, line)
	}
	return lines
}

// turned is the table with rows for columns: there are many contenders.
func (t *table) turned() [][]string {
	upright := t.upright()
	lines := make([][]string, len(upright[0]))
	for _, from := range upright {
		for i, cell := range from {
			lines[i] = append(lines[i], cell)
		}
	}
	return lines
}

func (t *table) markdown() string {
	lines := t.upright()
	if len(t.columns) > maxColumns {
		lines = t.turned()
	}
	return markdownTable(lines)
}

// markdownTable writes lines of cells, the first of which is the header.
func markdownTable(lines [][]string) string {
	var out strings.Builder
	for i, line := range lines {
		fmt.Fprintln(&out, "| "+strings.Join(line, " | ")+" |")
		if i == 0 {
			fmt.Fprintln(&out, "| --- |"+strings.Repeat(" ---: |", len(line)-1))
		}
	}
	return out.String()
}

func (r *row) title() string {
	if r.unit == "" || r.unit == timesUnit {
		return title(r.name)
	}
	return title(r.name) + ", " + r.unit
}

// timesUnit is that of ratios, whose names say what they are of.
const timesUnit = "times"

// cell is a value; one that misses its target says so.
func (r *row) cell(column string) string {
	f, ok := r.cells[column]
	if !ok {
		return ""
	}
	return cell(f.Value, f.missed())
}

func cell(v float64, missed bool) string {
	if missed {
		return "**" + number(v) + "** (missed)"
	}
	return number(v)
}

// target names who has to meet it where that is not everybody whose figure is in the row.
func (r *row) target(columns []string) string {
	var texts []string
	by := map[string][]string{}
	for _, column := range columns {
		if f, ok := r.cells[column]; ok && f.target.bound != "" {
			text := f.target.String()
			if by[text] == nil {
				texts = append(texts, text)
			}
			by[text] = append(by[text], column)
		}
	}
	for i, text := range texts {
		if len(texts) > 1 || len(by[text]) != len(r.cells) {
			texts[i] = strings.Join(by[text], " and ") + ": " + text
		}
	}
	return strings.Join(texts, "; ")
}
