package main

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"
)

// A soak is the course of a soak of a device.
type soak struct {
	Percentiles, Histogram template.HTML
	Summary                []string
}

// newSoak returns the soak among the lines of a device, or nil.
func newSoak(lines []*line) *soak {
	var intervals []*line
	var whole *line
	for _, l := range lines {
		switch {
		case l.Op != "Soak":
		case l.keys["interval"] == "all":
			whole = l
		default:
			intervals = append(intervals, l)
		}
	}
	if len(intervals) == 0 {
		return nil
	}
	c := chart{title: "latency over time", xLabel: "sixtieth of the time", linear: true, format: duration}
	for i, unit := range []string{"p50-ns", "p99-ns", "max-ns"} {
		s := series{color: i}
		for n, l := range intervals {
			if v, ok := l.value(unit); ok && v > 0 {
				s.points = append(s.points, xy{float64(n + 1), v})
			}
		}
		c.series = append(c.series, s)
	}
	s := &soak{Percentiles: c.svg(), Histogram: heatmap(intervals)}
	if whole != nil {
		for _, unit := range whole.units {
			if v, ok := whole.value(unit); ok && !strings.HasPrefix(unit, callsUpTo) {
				s.Summary = append(s.Summary, figure(v, unit))
			}
		}
	}
	return s
}

// callsUpTo is the beginning of the units of a histogram: "calls<=5ms" counts the calls of
// at most 5 ms and more than the next lower limit.
const callsUpTo = "calls<="

// heatmap draws a histogram of latencies for each interval: time to the right, latency
// upward, the number of calls as opacity.
func heatmap(intervals []*line) template.HTML {
	var units []string
	most := 1.0
	for _, l := range intervals {
		for _, unit := range l.units {
			if v, _ := l.value(unit); strings.HasPrefix(unit, callsUpTo) {
				most = max(most, v)
				if !slices.Contains(units, unit) {
					units = append(units, unit)
				}
			}
		}
	}
	limit := func(unit string) time.Duration {
		d, err := time.ParseDuration(strings.TrimPrefix(unit, callsUpTo))
		if err != nil {
			return 0
		}
		return d
	}
	slices.SortFunc(units, func(a, b string) int { return cmp.Compare(limit(b), limit(a)) })
	const cell = 16.0
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="histogram of latencies over time">`, width, cell*float64(len(units))+4)
	for row, unit := range units {
		y := float64(row) * cell
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" class="end">≤ %s</text>`, left-6, y+12, duration(float64(limit(unit))))
		for i, l := range intervals {
			if v, ok := l.value(unit); ok && v > 0 {
				w := plotWidth / float64(len(intervals))
				fmt.Fprintf(&b, `<rect class="fill c0" opacity="%.2f" x="%.1f" y="%.1f" width="%.1f" height="%.0f"/>`,
					0.08+0.92*v/most, left+float64(i)*w, y, w+0.2, cell-1)
			}
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}
