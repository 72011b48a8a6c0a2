package main

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
)

// layerNames are the layers of the benchmark Layers, from the lowest.
var layerNames = []string{"raw", "driver", "durable", "vault"}

// layers returns bars of the shares of the layers with the fewest callers, and the table of
// all ratios.
func layers(lines []*line) (template.HTML, table) {
	t := table{Head: []string{"operation", "callers", "driver ÷ raw", "with a record ÷ without", "vault ÷ that", "vault ÷ that, processor time", "vault"}}
	var rows []barRow
	for _, l := range lines {
		whole, ok := l.value("vault-ns/op")
		if l.keys["op"] == "" || !ok {
			continue
		}
		name := strings.TrimSpace(l.keys["op"] + " " + l.label())
		t.Rows = append(t.Rows, []string{name, l.keys["callers"], ratio(l, "x-driver"), ratio(l, "x-durable"), ratio(l, "x-vault"), ratio(l, "x-vault-cpu"), duration(whole)})
		if l.number("callers") == 8 && l.keys["op"] != "Same" {
			rows = append(rows, barRow{label: name, note: duration(whole), parts: layerParts(l)})
		}
	}
	if len(rows) == 0 {
		return "", t
	}
	return bars(rows), t
}

// layerParts returns what each layer adds to the one below. A layer that took less than the
// one below adds nothing.
func layerParts(l *line) []float64 {
	parts, below := make([]float64, len(layerNames)), 0.0
	for i, name := range layerNames {
		if v, ok := l.value(name + "-ns/op"); ok {
			parts[i] = max(0, v-below)
			below = max(below, v)
		}
	}
	return parts
}

func ratio(l *line, unit string) string {
	v, ok := l.value(unit)
	if !ok {
		return "–"
	}
	return digits(v)
}

// A quota is the best throughput of a class of operations of the vault, and how many times
// the default limit of Tencent Cloud KMS it is.
type quota struct {
	Name, Best, Limit, Times string
	Percent                  float64 // of the bar
}

// cloud are the default limits of Tencent Cloud KMS, in calls a second of an account.
var cloud = []struct {
	name  string
	limit float64
	ops   []string
}{
	{"symmetric operations", 300, []string{"Encrypt", "Decrypt", "GenerateDataKey", "OpenDataKey"}},
	{"signatures", 100, []string{"Sign"}},
	{"asymmetric decryption", 200, []string{"AsymmetricDecrypt"}},
}

// quotas compares the throughput of the vault, not of the driver, with the cloud's limits,
// for each algorithm.
func quotas(lines []*line) (list []quota) {
	for _, class := range cloud {
		best := make(map[string]float64)
		for _, l := range lines {
			op, unit := l.Op, "ops/s"
			if l.keys["op"] != "" {
				op, unit = l.keys["op"], "vault-ops/s"
			} else if class.limit != 300 {
				continue // measured without the vault
			}
			if v, ok := l.value(unit); ok && slices.Contains(class.ops, op) {
				name := strings.TrimSpace(op + " " + l.label())
				best[name] = max(best[name], v)
			}
		}
		for _, name := range slices.Sorted(mapKeys(best)) {
			times := best[name] / class.limit
			list = append(list, quota{name, rate(best[name]), fmt.Sprintf("%.0f /s for %s", class.limit, class.name), digits(times) + " ×",
				100 * min(1, max(0.01, (math.Log10(times)+1)/4))})
		}
	}
	return list
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// A comparison is a benchmark that two runs have.
type comparison struct {
	Name, Unit, Before, After, Times string
	Better, Worse                    bool
}

// compareRuns compares throughput, and of layers the ratio of the vault. A change of less
// than a tenth is neither better nor worse.
func compareRuns(before, after *run) (list []comparison) {
	for _, l := range after.lines {
		old := before.byName[l.Name]
		for _, unit := range []string{"ops/s", "x-driver", "x-vault"} {
			now, ok := l.value(unit)
			if old == nil || !ok || now == 0 {
				continue
			}
			then, ok := old.value(unit)
			if !ok || then == 0 {
				continue
			}
			gain := now / then
			c := comparison{Name: l.Name, Unit: unit, Before: digits(then), After: digits(now), Times: digits(gain) + " ×"}
			if unit == "ops/s" {
				c.Before, c.After = rate(then), rate(now)
			} else {
				gain = 1 / gain
			}
			c.Better, c.Worse = gain > 1.1, gain < 1/1.1
			list = append(list, c)
		}
	}
	return list
}

// otherTables returns the benchmarks that belong to no plot: the store, the audit log,
// backups, streams, the creation and import of keys.
func otherTables(r *run) (list []table) {
	plotted := []string{"Layers", "Soak", "Pool"}
	for _, g := range groups {
		plotted = append(plotted, g.ops...)
	}
	index := make(map[string]int)
	for _, l := range r.lines {
		if slices.Contains(plotted, l.Op) || l.keys["op"] != "" || l.keys["interval"] != "" {
			continue
		}
		i, known := index[l.Op]
		if !known {
			i = len(list)
			index[l.Op] = i
			list = append(list, table{Title: l.Op, Head: []string{"device and parameters", "figures"}})
		}
		_, rest, _ := strings.Cut(l.Name, "/")
		list[i].Rows = append(list[i].Rows, []string{strings.ReplaceAll(rest, "/", " "), figures(l)})
	}
	return list
}

// guardRows compares the ratios of a run with those of a baseline. A ratio is worse if it
// is above its baseline by more than the tolerance.
func guardRows(baseline, r *run, tolerance float64) (rows []string, worse int) {
	for _, l := range baseline.lines {
		now := r.byName[l.Name]
		if now == nil {
			continue
		}
		for _, unit := range l.units {
			want, _ := l.value(unit)
			got, ok := now.value(unit)
			if !ok || !l.guards(unit) {
				continue
			}
			verdict := "ok"
			if got > want*(1+tolerance) {
				verdict = "WORSE"
				worse++
			}
			rows = append(rows, fmt.Sprintf("%-5s %s %s: %s, baseline %s", verdict, l.Name, unit, digits(got), digits(want)))
		}
	}
	return rows, worse
}
