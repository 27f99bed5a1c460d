// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
)

// gapPanel is one kind of loss, and the samples of it.
type gapPanel struct {
	title, part string
	samples     []string
}

func gapPanels() []gapPanel {
	return []gapPanel{
		{"Graceful hand-off", "handoff", []string{"gap"}},
		{"Crash (SIGKILL); the lines on the left: the kubelet has reported it", "takeover", []string{sinceKill, sinceReport}},
	}
}

// drawGaps draws which share of all gaps is no longer than a time: of hand-offs, and of take-overs after a crash. All panels
// have the same scale.
func drawGaps(r results) (*picture, error) {
	shown := make([][]series, len(gapPanels()))
	var all []float64
	for i, panel := range gapPanels() {
		for _, s := range r.series(panel) {
			millis, err := s.millis()
			if err != nil {
				return nil, err
			}
			shown[i] = append(shown[i], series{Who: s.Who, Values: millis})
			all = append(all, millis...)
		}
	}
	if all == nil {
		return nil, nil
	}
	pic := &picture{title: "For how long nobody works for a shard"}
	scale := decadesAround(all)
	for i, panel := range gapPanels() {
		if shown[i] == nil {
			continue
		}
		p := newPanel("no longer than (logarithmic)", "share of shards, %")
		p.Title.Text = panel.title
		for _, s := range shown[i] {
			line, err := s.cumulated(scale)
			if err != nil {
				return nil, err
			}
			p.Add(line)
			pic.explain(string(s.Who), line)
		}
		scale.mark(&p.X, duration)
		p.Y.Min, p.Y.Max = 0, 100
		pic.panels = append(pic.panels, p)
	}
	return pic, nil
}

// series are the samples of a panel that are there.
func (r results) series(panel gapPanel) []series {
	m := r.part(panel.part)
	if m == nil {
		return nil
	}
	var found []series
	for _, s := range m.Series {
		if len(s.Values) > 0 && slices.Contains(panel.samples, s.Name) {
			found = append(found, s)
		}
	}
	return found
}

// explain adds an entry to the legend, unless it is there.
func (p *picture) explain(text string, icon plot.Thumbnailer) {
	if !slices.ContainsFunc(p.legend, func(e entry) bool { return e.text == text }) {
		p.legend = append(p.legend, entry{text, icon})
	}
}

// millis are the values in ms.
func (s series) millis() ([]float64, error) {
	factor, ok := map[string]float64{"ms": 1, "s": 1000}[s.Unit]
	if !ok {
		return nil, fmt.Errorf("samples %s of %s: %q is not a unit of time", s.Name, s.Who, s.Unit)
	}
	millis := slices.Clone(s.Values)
	for i := range millis {
		millis[i] *= factor
	}
	return millis, nil
}

// cumulated is a line of steps from the least to the greatest.
func (s series) cumulated(scale decades) (*plotter.Line, error) {
	points := plotter.XYs{{X: scale.at(s.Values[0]), Y: 0}}
	for i, v := range s.Values {
		points = append(points, plotter.XY{X: scale.at(v), Y: 100 * float64(i+1) / float64(len(s.Values))})
	}
	line, err := plotter.NewLine(points)
	if err != nil {
		return nil, err
	}
	line.LineStyle, line.StepStyle = lookOf(s.Who).line(), plotter.PostStep
	return line, nil
}

// duration is a number of ms in the unit that people would say it in.
func duration(millis float64) string {
	if millis < 1000 {
		return number(millis) + " ms"
	}
	return number(millis/1000) + " s"
}
