package promtext

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// ContentType is the media type of what WriteTo writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// WriteTo observes the gauges and writes all families in Prometheus' text format, version
// 0.0.4.
func (p *Provider) WriteTo(w io.Writer) (int64, error) {
	p.mu.Lock()
	callbacks, families := slices.Clone(p.callbacks), slices.Clone(p.families)
	p.mu.Unlock()
	var failed error
	for _, r := range callbacks {
		failed = errors.Join(failed, r.call(context.Background(), observer{}))
	}
	var b bytes.Buffer
	slices.SortFunc(families, func(a, b *family) int { return strings.Compare(a.name, b.name) })
	for _, f := range families {
		f.write(&b)
	}
	n, err := b.WriteTo(w)
	return n, errors.Join(failed, err)
}

func (f *family) write(b *bytes.Buffer) {
	var lines bytes.Buffer
	for _, s := range f.sorted() {
		switch f.kind {
		case "counter":
			writeSample(&lines, f.name, s.labels, "", strconv.FormatInt(s.count.Load(), 10))
		case "gauge":
			if s.present.Swap(false) {
				writeSample(&lines, f.name, s.labels, "", float(math.Float64frombits(s.value.Load())))
			}
		case "histogram":
			f.writeHistogram(&lines, s)
		}
	}
	if lines.Len() == 0 {
		return
	}
	if f.help != "" {
		b.WriteString("# HELP " + f.name + " " + strings.NewReplacer("\\", `\\`, "\n", `\n`).Replace(f.help) + "\n")
	}
	b.WriteString("# TYPE " + f.name + " " + f.kind + "\n")
	lines.WriteTo(b)
}

// writeHistogram writes the buckets, which are cumulative in this format. The total is that of
// the buckets and of what is above them, so that a concurrent Record does not make it less
// than a bucket.
func (f *family) writeHistogram(b *bytes.Buffer, s *series) {
	count, sum := s.count.Load(), math.Float64frombits(s.value.Load())
	var below int64
	for i, bound := range f.bounds {
		below += s.buckets[i].Load()
		writeSample(b, f.name+"_bucket", s.labels, float(bound), strconv.FormatInt(below, 10))
	}
	count = max(count, below)
	writeSample(b, f.name+"_bucket", s.labels, "+Inf", strconv.FormatInt(count, 10))
	writeSample(b, f.name+"_sum", s.labels, "", float(sum))
	writeSample(b, f.name+"_count", s.labels, "", strconv.FormatInt(count, 10))
}

func writeSample(b *bytes.Buffer, name string, labels attribute.Set, le, value string) {
	b.WriteString(name)
	var pairs []string
	for _, kv := range labels.ToSlice() {
		pairs = append(pairs, metricName(string(kv.Key))+"="+quote(kv.Value.Emit()))
	}
	if le != "" {
		pairs = append(pairs, "le="+quote(le))
	}
	if len(pairs) > 0 {
		b.WriteString("{" + strings.Join(pairs, ",") + "}")
	}
	b.WriteString(" " + value + "\n")
}

func quote(s string) string {
	return `"` + strings.NewReplacer("\\", `\\`, "\n", `\n`, `"`, `\"`).Replace(s) + `"`
}

func float(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

// metricName returns a name of OpenTelemetry as one of Prometheus.
func metricName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, name)
}

// unit returns the suffix of a unit of UCUM.
func unit(u string) string {
	switch u {
	case "":
		return ""
	case "s":
		return "_seconds"
	case "By":
		return "_bytes"
	}
	return "_" + metricName(u)
}

func compareLabels(a, b attribute.Set) int {
	return slices.CompareFunc(a.ToSlice(), b.ToSlice(), func(x, y attribute.KeyValue) int {
		if c := strings.Compare(string(x.Key), string(y.Key)); c != 0 {
			return c
		}
		return strings.Compare(x.Value.Emit(), y.Value.Emit())
	})
}
