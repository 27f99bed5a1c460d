// Copyright The shardctl Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// chart is one of the plots: a picture of a part.
type chart struct {
	name string
	part string // in whose section it is shown
	alt  string // what it shows, in words
	// draw returns nil if the results do not have what it shows.
	draw func(r results) (*picture, error)
}

func charts() []chart {
	return []chart{
		{"requests", "requests", "Lease requests per second in steady state, by contender, shards and replicas", drawRequests},
		{"gaps", "handoff", "For how long nobody works for a shard, after a graceful end and after a crash, by contender", drawGaps},
		{"scaleout", "scaleout", "Throughput of 1 to 5 replicas, as a multiple of that of one, by contender", drawScaleOut},
		{"memory", "memory", "Memory per cached object, by cache", drawMemory},
	}
}

// plotFile is where a plot is in the source tree.
func plotFile(name string) string { return imagesDir + "/bench-" + name + ".svg" }

// plots draws what the results have figures for: SVG documents by their place in the source tree.
func (r results) plots() (map[string][]byte, error) {
	made := map[string][]byte{}
	for _, c := range charts() {
		p, err := c.draw(r)
		if err != nil {
			return nil, fmt.Errorf("plot of %s: %w", c.name, err)
		}
		if p == nil {
			continue
		}
		if made[plotFile(c.name)], err = p.svg(); err != nil {
			return nil, fmt.Errorf("plot of %s: %w", c.name, err)
		}
	}
	return made, nil
}

const (
	pictureWidth = 8 * vg.Inch
	panelHeight  = 3.2 * vg.Inch
	titleHeight  = 0.28 * vg.Inch
	legendHeight = 0.28 * vg.Inch
	margin       = 8 * vg.Length(1)
)

// picture is a title, a legend and one panel above the other.
type picture struct {
	title  string
	legend []entry
	panels []*plot.Plot
}

// entry is one in the legend.
type entry struct {
	text string
	icon plot.Thumbnailer
}

// svg draws it on solid white: a reader's page may be dark. The same picture gives the same bytes.
func (p *picture) svg() ([]byte, error) {
	head := titleHeight
	if p.legend != nil {
		head += legendHeight
	}
	height := head + panelHeight*vg.Length(len(p.panels))
	canvas := vgsvg.New(pictureWidth, height)
	all := draw.New(canvas)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	area := draw.Crop(all, margin, -margin, margin, -margin)

	area.FillText(textStyle(14, draw.XLeft, draw.YTop), vg.Point{X: area.Min.X, Y: area.Max.Y}, p.title)
	p.drawLegend(draw.Crop(area, 0, 0, 0, -titleHeight))
	body := draw.Crop(area, 0, 0, 0, -head)
	tiles := draw.Tiles{Rows: len(p.panels), Cols: 1, PadY: margin}
	for i, panel := range p.panels {
		panel.Draw(tiles.At(body, 0, i))
	}
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return nil, err
	}
	// Not everybody has the font that the text was measured with; Arial is as wide.
	return bytes.ReplaceAll(out.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")), nil
}

// drawLegend puts all entries into the first line of an area.
func (p *picture) drawLegend(c draw.Canvas) {
	const iconWidth, iconHeight, gap = 18, 8, 5
	style := textStyle(10, draw.XLeft, draw.YTop)
	x := c.Min.X
	for _, e := range p.legend {
		icon := draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: x, Y: c.Max.Y - iconHeight - 1},
			Max: vg.Point{X: x + iconWidth, Y: c.Max.Y - 1},
		}}
		e.icon.Thumbnail(&icon)
		x += iconWidth + gap
		c.FillText(style, vg.Point{X: x, Y: c.Max.Y}, e.text)
		x += style.Width(e.text) + 3*gap
	}
}

func textStyle(size vg.Length, x draw.XAlignment, y draw.YAlignment) draw.TextStyle {
	face := font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
	return draw.TextStyle{Color: ink, Font: face, XAlign: x, YAlign: y, Handler: plot.DefaultTextHandler}
}

var (
	ink  = color.Gray{Y: 0x24}
	pale = color.Gray{Y: 0xDD}
)

// newPanel is an empty plot in the style of all of them, with lines across at the ticks.
func newPanel(x, y string) *plot.Plot {
	p := plot.New()
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		axis.Label.TextStyle.Font = textStyle(10, draw.XCenter, draw.YCenter).Font
		axis.Tick.Label.Font = textStyle(9, draw.XCenter, draw.YCenter).Font
		axis.Label.TextStyle.Color, axis.Tick.Label.Color = ink, ink
		axis.Color, axis.Tick.Color = ink, ink
		axis.Padding = 0
		axis.Tick.Length, axis.Label.Padding = 4, 4
	}
	p.Title.TextStyle = textStyle(11, draw.XCenter, draw.YTop)
	p.Title.Padding = 4
	p.X.Label.Text, p.Y.Label.Text = x, y
	grid := plotter.NewGrid()
	grid.Horizontal.Color, grid.Vertical.Color = pale, pale
	p.Add(grid)
	return p
}

// look is how a contender is drawn in every plot: colours of Okabe and Ito, which those who are colour-blind can tell apart, and
// dashes for whoever prints them.
type look struct {
	color  color.Color
	dashes []vg.Length
}

func lookOf(who contender) look {
	switch who {
	case session:
		return look{color.RGBA{R: 0x00, G: 0x72, B: 0xB2, A: 0xFF}, nil}
	case leaseMode:
		return look{color.RGBA{R: 0x56, G: 0xB4, B: 0xE9, A: 0xFF}, []vg.Length{6, 2}}
	case clientGo:
		return look{color.RGBA{R: 0xD5, G: 0x5E, B: 0x00, A: 0xFF}, nil}
	case knative:
		return look{color.RGBA{R: 0xCC, G: 0x79, B: 0xA7, A: 0xFF}, []vg.Length{2, 2}}
	case controllerRuntime:
		return look{color.RGBA{R: 0x00, G: 0x9E, B: 0x73, A: 0xFF}, []vg.Length{8, 2, 2, 2}}
	}
	return look{color.Gray{Y: 0x88}, nil}
}

func (l look) line() draw.LineStyle {
	return draw.LineStyle{Color: l.color, Width: 1.8, Dashes: l.dashes}
}
