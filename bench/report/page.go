package main

import (
	"cmp"
	_ "embed"
	"html/template"
	"io"
	"slices"
	"strings"
)

//go:embed page.html
var pageHTML string

// A page is the content of the report.
type page struct {
	Fingerprint []setting
	Devices     []device
	Comparison  []comparison
	Other       []table
	All         []*line
}

// A device is the part of one device.
type device struct {
	Name, Text, Note string
	Sweeps           []sweepPlot
	Layers           template.HTML
	LayerTable       table
	Quotas           []quota
	Pool             template.HTML
	Soak             *soak
}

// A table is a table of figures.
type table struct {
	Title string
	Head  []string
	Rows  [][]string
}

func newPage(r, before *run) page {
	p := page{All: r.lines}
	p.Fingerprint = fingerprint(r.config)
	for _, name := range r.drivers() {
		key := strings.ToLower(name)
		d := device{Name: name, Text: r.first("device-" + key), Note: r.first("note-" + key)}
		if module := r.first("module-" + key); module != "" {
			d.Text += "; module " + module
		}
		lines := r.of(name)
		d.Sweeps = sweepPlots(lines)
		d.Layers, d.LayerTable = layers(lines)
		d.Quotas = quotas(lines)
		d.Pool = poolPlot(lines)
		d.Soak = newSoak(lines)
		p.Devices = append(p.Devices, d)
	}
	p.Other = otherTables(r)
	if before != nil {
		p.Comparison = compareRuns(before, r)
	}
	return p
}

// fingerprint returns the settings other than those of devices, each key once.
func fingerprint(config []setting) (list []setting) {
	for _, s := range config {
		if strings.HasPrefix(s.Key, "device-") || strings.HasPrefix(s.Key, "note-") || strings.HasPrefix(s.Key, "module-") {
			continue
		}
		i := slices.IndexFunc(list, func(o setting) bool { return o.Key == s.Key })
		if i < 0 {
			list = append(list, s)
		} else {
			list[i].Value += " · " + s.Value
		}
	}
	return list
}

func renderPage(w io.Writer, p page) error {
	t, err := template.New("page").Funcs(template.FuncMap{"figures": figures}).Parse(pageHTML)
	if err != nil {
		return err
	}
	return t.Execute(w, p)
}

// of returns the lines of a device.
func (r *run) of(driver string) (list []*line) {
	for _, l := range r.lines {
		if l.keys["driver"] == driver {
			list = append(list, l)
		}
	}
	return list
}

// figures returns the values of a line as text.
func figures(l *line) string {
	var parts []string
	for _, unit := range l.units {
		v, _ := l.value(unit)
		parts = append(parts, figure(v, unit))
	}
	return strings.Join(parts, ", ")
}

// figure formats a value with its unit.
func figure(v float64, unit string) string {
	switch {
	case unit == "ns/op":
		return duration(v) + "/op"
	case strings.HasSuffix(unit, "-ns/op"):
		return strings.TrimSuffix(unit, "-ns/op") + " " + duration(v)
	case strings.HasSuffix(unit, "-ns"):
		return strings.TrimSuffix(unit, "-ns") + " " + duration(v)
	case strings.HasSuffix(unit, "-bytes"):
		return strings.TrimSuffix(unit, "-bytes") + " " + digits(v/1e6) + " MB"
	case strings.HasSuffix(unit, "ops/s"):
		return strings.TrimSpace(strings.TrimSuffix(unit, "ops/s") + " " + rate(v))
	}
	return digits(v) + " " + unit
}

// A sweepPlot is the throughput and the latency of related operations over callers.
type sweepPlot struct {
	Title            string
	Throughput, Wait template.HTML
	Legend           []legend
}

// A legend is an entry below a plot. Queue reports that the p99 of the most callers is
// mostly the time for which goroutines waited for a processor.
type legend struct {
	Color int
	Dash  bool
	Name  string
	Knee  string
	Queue bool
}

// groups are the operations that share a plot.
var groups = []struct {
	title string
	ops   []string
}{
	{"Signatures by the driver", []string{"Sign"}},
	{"Decryption by the driver", []string{"AsymmetricDecrypt"}},
	{"MAC and random numbers by the driver", []string{"PRF", "Random"}},
	{"Data operations of the vault", []string{"Encrypt", "Decrypt", "GenerateDataKey", "OpenDataKey", "AuditAppend"}},
	{"Bare AES-256-GCM", []string{"GCM"}},
	{"Chip", []string{"Chip"}},
}

// sweepPlots plots the sweeps of a device. Three numbers of callers make a sweep.
func sweepPlots(lines []*line) (plots []sweepPlot) {
	for _, g := range groups {
		byName := make(map[string][]*line)
		var names []string
		for _, l := range lines {
			if !slices.Contains(g.ops, l.Op) || l.number("callers") == 0 {
				continue
			}
			name := strings.TrimSpace(l.Op + " " + l.label())
			if byName[name] == nil {
				names = append(names, name)
			}
			byName[name] = append(byName[name], l)
		}
		plot := sweepPlot{Title: g.title}
		rates := chart{title: g.title + ": operations a second", xLabel: "callers", format: rate}
		waits := chart{title: g.title + ": latency", xLabel: "callers", format: duration}
		for _, name := range names {
			if list := byName[name]; len(list) >= 3 {
				i := len(plot.Legend)
				rates.series = append(rates.series, series{color: i, points: pointsOf(list, "ops/s")})
				waits.series = append(waits.series, series{color: i, points: pointsOf(list, "p50-ns")}, series{color: i, dashed: true, points: pointsOf(list, "p99-ns")})
				plot.Legend = append(plot.Legend, legend{Color: i % colors, Dash: i >= colors, Name: name, Knee: kneeOf(lines, list), Queue: queued(list)})
			}
		}
		if plot.Throughput, plot.Wait = rates.svg(), waits.svg(); plot.Throughput != "" {
			plots = append(plots, plot)
		}
	}
	return plots
}

func pointsOf(list []*line, unit string) (points []xy) {
	for _, l := range list {
		if v, ok := l.value(unit); ok && v > 0 {
			points = append(points, xy{float64(l.number("callers")), v})
		}
	}
	slices.SortFunc(points, func(a, b xy) int { return cmp.Compare(a.x, b.x) })
	return points
}

// kneeOf returns the knee that the run names for a sweep.
func kneeOf(lines, list []*line) string {
	prefix, _, _ := strings.Cut(list[0].Name, "callers=")
	for _, l := range lines {
		if l.Name == prefix+"callers=knee" {
			at, _ := l.value("knee-callers")
			best, _ := l.value("knee-ops/s")
			if at == 1 {
				return "1 caller, " + rate(best)
			}
			return digits(at) + " callers, " + rate(best)
		}
	}
	return ""
}

func queued(list []*line) bool {
	most := slices.MaxFunc(list, func(a, b *line) int { return cmp.Compare(a.number("callers"), b.number("callers")) })
	wait, _ := most.value("queue-p99-ns")
	p99, _ := most.value("p99-ns")
	return wait > p99/2 && p99 > 0
}

// poolPlot plots the throughput over the number of sessions.
func poolPlot(lines []*line) template.HTML {
	c := chart{title: "operations a second over sessions", xLabel: "sessions", format: rate, series: []series{{}}}
	for _, l := range lines {
		if v, ok := l.value("ops/s"); ok && l.Op == "Pool" && l.number("sessions") > 0 {
			c.series[0].points = append(c.series[0].points, xy{float64(l.number("sessions")), v})
		}
	}
	return c.svg()
}
