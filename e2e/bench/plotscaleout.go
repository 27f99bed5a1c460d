// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"regexp"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// The best that was published: timebertt/kubernetes-controller-sharding, a thesis. Its method is another: the highest load within
// service levels, on a cluster, where CPU is what runs out. So it is for orientation.
const (
	publishedReplicas = 5
	publishedTimes    = 3.2
)

var replicaCount = regexp.MustCompile(`^scaleout_throughput_(\d+)_replicas$`)

// drawScaleOut draws how many times as much more replicas do as one.
func drawScaleOut(r results) (*picture, error) {
	m := r.part("scaleout")
	if m == nil {
		return nil, nil
	}
	lines := map[contender]plotter.XYs{}
	for _, f := range m.Figures {
		if n := replicaCount.FindStringSubmatch(f.Name); n != nil {
			replicas, err := strconv.Atoi(n[1])
			if err != nil {
				return nil, err
			}
			lines[f.Who] = append(lines[f.Who], plotter.XY{X: float64(replicas), Y: f.Value})
		}
	}
	if len(lines) == 0 {
		return nil, nil
	}
	p := newPanel("replicas", "times the throughput of one")
	pic := &picture{title: "Scale-out: reconciles that each wait for 20 ms", panels: []*plot.Plot{p}}
	ideal, err := plotter.NewLine(plotter.XYs{{X: 1, Y: 1}, {X: publishedReplicas, Y: publishedReplicas}})
	if err != nil {
		return nil, err
	}
	ideal.LineStyle = draw.LineStyle{Color: ink, Width: 0.8, Dashes: []vg.Length{2, 3}}
	p.Add(ideal)
	for _, who := range contenders() {
		points := lines[who]
		if points == nil {
			continue
		}
		one := points[0].Y
		for i := range points {
			points[i].Y /= one
		}
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return nil, err
		}
		line.LineStyle = lookOf(who).line()
		dots.GlyphStyle = draw.GlyphStyle{Color: lookOf(who).color, Radius: 3.5, Shape: draw.CircleGlyph{}}
		p.Add(line, dots)
		pic.explain(string(who), line)
	}
	published, err := plotter.NewScatter(plotter.XYs{{X: publishedReplicas, Y: publishedTimes}})
	if err != nil {
		return nil, err
	}
	published.GlyphStyle = draw.GlyphStyle{Color: ink, Radius: 4, Shape: draw.CrossGlyph{}}
	p.Add(published)
	pic.explain("as much again with each", ideal)
	pic.explain("published elsewhere, by another method", published)
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0.9, publishedReplicas+0.1, 0, publishedReplicas+0.25
	p.X.Tick.Marker, p.Y.Tick.Marker = counts(publishedReplicas), counts(publishedReplicas)
	return pic, nil
}

// counts are ticks at all whole numbers up to one.
func counts(most int) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for i := range most + 1 {
		ticks = append(ticks, plot.Tick{Value: float64(i), Label: strconv.Itoa(i)})
	}
	return ticks
}
