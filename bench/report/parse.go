package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A run is the results of one or more executions of benchmarks, in the format of the Go
// benchmarks (golang.org/design/14313-benchmark-format).
type run struct {
	config []setting
	lines  []*line
	byName map[string]*line
}

// A setting is a line "key: value". A key may occur with several values.
type setting struct{ Key, Value string }

// A line is one benchmark. The values of a unit are those of all repetitions.
type line struct {
	Name   string // without "Benchmark" and the number of processors
	Op     string // the last part of the name that is no key=value
	keys   map[string]string
	values map[string][]float64
	units  []string // in the order in which they occurred
}

func newRun() *run { return &run{byName: make(map[string]*line)} }

var (
	settingLine = regexp.MustCompile(`^([a-z][^\sA-Z:]*):\s*(.*)$`)
	processors  = regexp.MustCompile(`-\d+$`)
)

// read adds the results of a file. Lines that are no results are ignored.
func (r *run) read(from io.Reader) error {
	scanner := bufio.NewScanner(from)
	scanner.Buffer(nil, 1<<20)
	for n := 1; scanner.Scan(); n++ {
		text := scanner.Text()
		if m := settingLine.FindStringSubmatch(text); m != nil {
			r.set(m[1], strings.TrimSpace(m[2]))
			continue
		}
		if !strings.HasPrefix(text, "Benchmark") {
			continue
		}
		if err := r.add(strings.Fields(text)); err != nil {
			return fmt.Errorf("report: line %d: %w", n, err)
		}
	}
	return scanner.Err()
}

func (r *run) set(key, value string) {
	if s := (setting{key, value}); value != "" && !slices.Contains(r.config, s) {
		r.config = append(r.config, s)
	}
}

// add adds a result: name, iterations, and pairs of value and unit. A name alone is the
// beginning of a result that was interrupted.
func (r *run) add(fields []string) error {
	if len(fields) < 4 || len(fields)%2 != 0 {
		return nil
	}
	name := processors.ReplaceAllString(strings.TrimPrefix(fields[0], "Benchmark"), "")
	l := r.byName[name]
	if l == nil {
		l = newLine(name)
		r.byName[name], r.lines = l, append(r.lines, l)
	}
	for i := 2; i < len(fields); i += 2 {
		value, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return fmt.Errorf("%s is no number", strconv.Quote(fields[i]))
		}
		unit := fields[i+1]
		if _, known := l.values[unit]; !known {
			l.units = append(l.units, unit)
		}
		l.values[unit] = append(l.values[unit], value)
	}
	return nil
}

func newLine(name string) *line {
	l := &line{Name: name, keys: make(map[string]string), values: make(map[string][]float64)}
	for part := range strings.SplitSeq(name, "/") {
		if key, value, ok := strings.Cut(part, "="); ok {
			l.keys[key] = value
		} else {
			l.Op = part
		}
	}
	return l
}

// value returns the median of a unit, and whether the line has the unit.
func (l *line) value(unit string) (float64, bool) {
	list := slices.Sorted(slices.Values(l.values[unit]))
	if len(list) == 0 {
		return 0, false
	}
	return list[len(list)/2], true
}

// number returns the value of a key as a number, or 0.
func (l *line) number(key string) int {
	n, err := strconv.Atoi(l.keys[key])
	if err != nil {
		return 0
	}
	return n
}

// label returns what distinguishes a line from others of the same operation and device.
func (l *line) label() string {
	var parts []string
	for _, key := range []string{"alg", "size"} {
		if v := l.keys[key]; v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, " ")
}

// first returns the first value of a key.
func (r *run) first(key string) string {
	for _, s := range r.config {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// drivers returns the names of the devices, in the order of the results.
func (r *run) drivers() (names []string) {
	for _, l := range r.lines {
		if d := l.keys["driver"]; d != "" && !slices.Contains(names, d) {
			names = append(names, d)
		}
	}
	return names
}
