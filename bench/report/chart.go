package main

import (
	"fmt"
	"html/template"
	"math"
	"strings"
)

// A chart is a plot of lines. Both axes are logarithmic; x in powers of two, or linear.
type chart struct {
	title  string // for readers of the screen
	xLabel string
	linear bool // x is linear
	format func(float64) string
	series []series
}

// A series is one line. A dashed line has the colour of the line before it.
type series struct {
	color  int
	dashed bool
	points []xy
}

type xy struct{ x, y float64 }

// The size of a chart in units of its view, and the space for its labels.
const (
	width, height         = 460.0, 240.0
	left, right           = 62.0, 12.0
	top, bottom           = 10.0, 36.0
	colors                = 8
	plotWidth, plotHeight = width - left - right, height - top - bottom
)

// svg draws the chart. It returns nothing if there is nothing to draw.
func (c chart) svg() template.HTML {
	x, y := c.scales()
	if x == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s">`, width, height, template.HTMLEscapeString(c.title))
	for _, v := range y.ticks() {
		fmt.Fprintf(&b, `<path class="grid" d="M%.1f %.1fH%.1f"/><text x="%.1f" y="%.1f" class="end">%s</text>`,
			left, y.at(v), width-right, left-6, y.at(v)+4, template.HTMLEscapeString(c.format(v)))
	}
	for _, v := range x.ticks() {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" class="mid">%.0f</text>`, x.at(v), height-bottom+16, v)
	}
	fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" class="mid">%s</text>`, left+plotWidth/2, height-4, template.HTMLEscapeString(c.xLabel))
	for _, s := range c.series {
		drawSeries(&b, s, x, y)
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

func drawSeries(b *strings.Builder, s series, x, y *scale) {
	var path strings.Builder
	for i, p := range s.points {
		command := "L"
		if i == 0 {
			command = "M"
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", command, x.at(p.x), y.at(p.y))
	}
	class := fmt.Sprintf("line c%d", s.color%colors)
	if s.dashed || s.color >= colors {
		class += " dashed"
	}
	fmt.Fprintf(b, `<path class="%s" d="%s"/>`, class, path.String())
	if s.dashed {
		return
	}
	for _, p := range s.points {
		fmt.Fprintf(b, `<circle class="dot c%d" cx="%.1f" cy="%.1f" r="2.5"/>`, s.color%colors, x.at(p.x), y.at(p.y))
	}
}

// scales returns the scales of both axes, or nil without points.
func (c chart) scales() (x, y *scale) {
	for _, s := range c.series {
		for _, p := range s.points {
			if p.y <= 0 {
				continue
			}
			if x == nil {
				x, y = &scale{low: p.x, high: p.x}, &scale{low: p.y, high: p.y}
			}
			x.low, x.high = min(x.low, p.x), max(x.high, p.x)
			y.low, y.high = min(y.low, p.y), max(y.high, p.y)
		}
	}
	if x == nil {
		return nil, nil
	}
	x.from, x.to, x.base = left+8, width-right-8, 2
	if c.linear {
		x.base = 0
	}
	y.from, y.to, y.base = height-bottom, top, 10
	y.low, y.high = math.Pow(10, math.Floor(math.Log10(y.low))), math.Pow(10, math.Ceil(math.Log10(y.high)))
	if y.low == y.high {
		y.high *= 10
	}
	return x, y
}

// A scale maps values to coordinates: by their logarithm, or linearly if base is 0.
type scale struct{ low, high, from, to, base float64 }

func (s *scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.base > 0 {
		v, low, high = math.Log(max(v, s.low)), math.Log(low), math.Log(high)
	}
	if low == high {
		return (s.from + s.to) / 2
	}
	return s.from + (v-low)/(high-low)*(s.to-s.from)
}

// ticks returns the values with labels: the powers of the base, or six of a linear axis.
func (s *scale) ticks() (list []float64) {
	if s.base == 0 {
		step := max(1, math.Ceil((s.high-s.low)/6))
		for v := s.low; v <= s.high; v += step {
			list = append(list, v)
		}
		return list
	}
	for v := math.Pow(s.base, math.Floor(math.Log(s.low)/math.Log(s.base)+0.001)); v <= s.high*1.001; v *= s.base {
		if v >= s.low*0.999 {
			list = append(list, v)
		}
	}
	return list
}

// bars draws horizontal bars whose parts add up, each row scaled to its own whole.
func bars(rows []barRow) template.HTML {
	const rowHeight = 40.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="shares of the layers">`, width, rowHeight*float64(len(rows)))
	for i, row := range rows {
		y, x := float64(i)*rowHeight, 0.0
		fmt.Fprintf(&b, `<text x="0" y="%.1f">%s</text><text x="%.1f" y="%.1f" class="end">%s</text>`,
			y+13, template.HTMLEscapeString(row.label), width, y+13, template.HTMLEscapeString(row.note))
		whole := 0.0
		for _, part := range row.parts {
			whole += part
		}
		for j, part := range row.parts {
			w := part / max(whole, 1e-9) * width
			fmt.Fprintf(&b, `<rect class="fill c%d" x="%.1f" y="%.1f" width="%.1f" height="14"/>`, j, x, y+18, w)
			x += w
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// A barRow is a bar of several parts.
type barRow struct {
	label, note string
	parts       []float64
}

// duration formats nanoseconds with three digits.
func duration(ns float64) string {
	for _, u := range []struct {
		of   float64
		name string
	}{{1e9, "s"}, {1e6, "ms"}, {1e3, "µs"}} {
		if ns >= u.of {
			return digits(ns/u.of) + " " + u.name
		}
	}
	return digits(ns) + " ns"
}

// rate formats a number a second.
func rate(v float64) string {
	switch {
	case v >= 1e6:
		return digits(v/1e6) + " M/s"
	case v >= 1e3:
		return digits(v/1e3) + " k/s"
	}
	return digits(v) + " /s"
}

// digits formats a number with three significant digits, and without an exponent.
func digits(v float64) string {
	switch {
	case v == 0:
		return "0"
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0")
	}
	text := fmt.Sprintf("%.2f", v)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
