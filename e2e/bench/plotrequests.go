// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"regexp"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// groupSum names the figures that are the sum of all verbs' requests on Leases.
var groupSum = regexp.MustCompile(`^sum_(\d+)_shards_on_(\d+)_replicas$`)

// requestRates are all verbs' requests per second, by the size of the group and by who sends them.
func requestRates(m measurement) (sizes []string, rates map[contender]map[string]float64) {
	rates = map[contender]map[string]float64{}
	for _, f := range m.Figures {
		size := groupSum.FindStringSubmatch(f.Name)
		if size == nil {
			continue
		}
		name := fmt.Sprintf("%s shards, %s replicas", size[1], size[2])
		if !slices.Contains(sizes, name) {
			sizes = append(sizes, name)
		}
		if rates[f.Who] == nil {
			rates[f.Who] = map[string]float64{}
		}
		rates[f.Who][name] = f.Value
	}
	return sizes, rates
}

// drawRequests draws a bar for each contender and size.
func drawRequests(r results) (*picture, error) {
	m := r.part("requests")
	if m == nil {
		return nil, nil
	}
	sizes, rates := requestRates(*m)
	if len(sizes) == 0 {
		return nil, nil
	}
	p := newPanel("", "requests per second (logarithmic)")
	pic := &picture{title: "Requests on Leases while nothing happens, per second, all verbs", panels: []*plot.Plot{p}}
	var there []contender
	var all []float64
	for _, who := range contenders() {
		if rates[who] != nil {
			there = append(there, who)
		}
		for _, rate := range rates[who] {
			all = append(all, rate)
		}
	}
	scale := decadesAround(all)
	scale.least /= 10 // a bar whose value is a power of ten has a height, too
	const width = 22 * vg.Length(1)
	for i, who := range there {
		values := make(plotter.Values, len(sizes))
		texts := make([]string, len(sizes))
		for at, size := range sizes {
			values[at], texts[at] = scale.at(rates[who][size]), number(rates[who][size])
		}
		bars, err := plotter.NewBarChart(values, width)
		if err != nil {
			return nil, err
		}
		bars.Color, bars.LineStyle.Width = lookOf(who).color, 0
		bars.Offset = width * (vg.Length(i) - vg.Length(len(there)-1)/2)
		labels, err := labelsAbove(values, texts, bars.Offset)
		if err != nil {
			return nil, err
		}
		p.Add(bars, labels)
		pic.legend = append(pic.legend, entry{string(who), bars})
	}
	p.NominalX(sizes...)
	p.Y.Padding = 0 // which that has set to make room for long names
	p.X.Min, p.X.Max = -0.5, float64(len(sizes))-0.5
	scale.mark(&p.Y, number)
	return pic, nil
}

// labelsAbove writes texts above upright bars.
func labelsAbove(values plotter.Values, texts []string, offset vg.Length) (*plotter.Labels, error) {
	at := plotter.XYLabels{XYs: make(plotter.XYs, len(values)), Labels: texts}
	for i, v := range values {
		at.XYs[i] = plotter.XY{X: float64(i), Y: v}
	}
	labels, err := plotter.NewLabels(at)
	if err != nil {
		return nil, err
	}
	labels.Offset = vg.Point{X: offset, Y: 2}
	for i := range labels.TextStyle {
		labels.TextStyle[i] = textStyle(8, draw.XCenter, draw.YBottom)
	}
	return labels, nil
}
