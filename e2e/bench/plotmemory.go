// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// drawMemory draws a bar for each kind of cache, for the objects that are as in life.
func drawMemory(r results) (*picture, error) {
	m := r.part("memory")
	if m == nil {
		return nil, nil
	}
	var perObject []figure
	for _, f := range m.Figures {
		if strings.HasPrefix(f.Name, "memory_per_object_") && f.Name == "memory_per_object_"+deployments().name {
			perObject = append(perObject, f)
		}
	}
	if perObject == nil {
		return nil, nil
	}
	slices.Reverse(perObject) // the first is at the top
	p := newPanel("KB of heap per object", "")
	pic := &picture{title: "Memory per cached object: 10,000 Deployments of about 4 KB", panels: []*plot.Plot{p}}
	var kinds []string
	for i, f := range perObject {
		bar, err := plotter.NewBarChart(plotter.Values{f.Value}, 15)
		if err != nil {
			return nil, err
		}
		bar.Horizontal, bar.XMin, bar.LineStyle.Width = true, float64(i), 0
		bar.Color = lookOf(cacheAuthor(f.Who)).color
		label, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: f.Value, Y: float64(i)}}, Labels: []string{number(f.Value)}})
		if err != nil {
			return nil, err
		}
		label.Offset = vg.Point{X: 4}
		label.TextStyle[0] = textStyle(9, draw.XLeft, draw.YCenter)
		p.Add(bar, label)
		kinds = append(kinds, string(f.Who))
		p.X.Max = max(p.X.Max, f.Value*1.08)
	}
	p.NominalY(kinds...)
	p.X.Min, p.Y.Min, p.Y.Max = 0, -0.5, float64(len(kinds))-0.5
	return pic, nil
}

// cacheAuthor is who makes a kind of cache: it has the author's colour.
func cacheAuthor(kind contender) contender {
	switch {
	case kind.ours():
		return session
	case strings.HasPrefix(string(kind), string(controllerRuntime)):
		return controllerRuntime
	}
	return clientGo
}
