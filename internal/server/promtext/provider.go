// Package promtext is a metric.MeterProvider of OpenTelemetry that writes what it measured in
// Prometheus' text format. It exists because an exporter with its SDK would be several new
// modules. It makes integer counters, histograms and observable gauges; other instruments
// measure nothing.
package promtext

import (
	"context"
	"errors"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// A Provider makes meters, and writes what they measured. The zero value is ready. It is safe
// for concurrent use.
type Provider struct {
	noop.MeterProvider

	mu        sync.Mutex
	families  []*family
	callbacks []*registration
}

// Meter implements metric.MeterProvider. The names of instruments are shared by all meters.
func (p *Provider) Meter(string, ...metric.MeterOption) metric.Meter { return &meter{provider: p} }

type meter struct {
	noop.Meter
	provider *Provider
}

// A family is the series of one instrument.
type family struct {
	name, help, kind string
	bounds           []float64 // of a histogram

	series sync.Map // attribute.Distinct -> *series
}

// A series is the values of one set of attributes.
type series struct {
	labels  attribute.Set
	count   atomic.Int64
	value   atomic.Uint64 // bits of a float64: a sum, or a gauge's value
	present atomic.Bool   // a gauge was observed in this collection
	buckets []atomic.Int64
}

// add returns the family of a name, which is new unless another meter made it.
func (p *Provider) add(f *family) *family {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, old := range p.families {
		if old.name == f.name && old.kind == f.kind {
			return old
		}
	}
	p.families = append(p.families, f)
	return f
}

// of returns the series of a set of attributes.
func (f *family) of(set attribute.Set) *series {
	if s, ok := f.series.Load(set.Equivalent()); ok {
		return s.(*series)
	}
	s, _ := f.series.LoadOrStore(set.Equivalent(), &series{labels: set, buckets: make([]atomic.Int64, len(f.bounds))})
	return s.(*series)
}

// sorted returns the series in the order of their labels.
func (f *family) sorted() (out []*series) {
	for _, s := range f.series.Range {
		out = append(out, s.(*series))
	}
	slices.SortFunc(out, func(a, b *series) int { return compareLabels(a.labels, b.labels) })
	return out
}

// Int64Counter implements metric.Meter.
func (m *meter) Int64Counter(name string, options ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	c := metric.NewInt64CounterConfig(options...)
	return &counter{family: m.provider.add(&family{name: metricName(name) + "_total", help: c.Description(), kind: "counter"})}, nil
}

type counter struct {
	noop.Int64Counter
	*family
}

// Add implements metric.Int64Counter.
func (c *counter) Add(_ context.Context, n int64, options ...metric.AddOption) {
	if n > 0 {
		c.of(metric.NewAddConfig(options).Attributes()).count.Add(n)
	}
}

// Float64Histogram implements metric.Meter.
func (m *meter) Float64Histogram(name string, options ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	c := metric.NewFloat64HistogramConfig(options...)
	f := &family{name: metricName(name) + unit(c.Unit()), help: c.Description(), kind: "histogram", bounds: c.ExplicitBucketBoundaries()}
	if !sort.Float64sAreSorted(f.bounds) {
		return nil, errors.New("promtext: the bounds of histogram " + name + " are not in order")
	}
	return &histogram{family: m.provider.add(f)}, nil
}

type histogram struct {
	noop.Float64Histogram
	*family
}

// Record implements metric.Float64Histogram.
func (h *histogram) Record(_ context.Context, v float64, options ...metric.RecordOption) {
	s := h.of(metric.NewRecordConfig(options).Attributes())
	if i := sort.SearchFloat64s(h.bounds, v); i < len(s.buckets) {
		s.buckets[i].Add(1)
	}
	for {
		old := s.value.Load()
		if s.value.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			break
		}
	}
	s.count.Add(1)
}

// Float64ObservableGauge implements metric.Meter.
func (m *meter) Float64ObservableGauge(name string, options ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	c := metric.NewFloat64ObservableGaugeConfig(options...)
	return &gauge{family: m.provider.add(&family{name: metricName(name) + unit(c.Unit()), help: c.Description(), kind: "gauge"})}, nil
}

type gauge struct {
	noop.Float64ObservableGauge
	*family
}

// A registration is a callback that is called at each collection.
type registration struct {
	noop.Registration
	provider *Provider
	call     metric.Callback
}

// RegisterCallback implements metric.Meter.
func (m *meter) RegisterCallback(f metric.Callback, _ ...metric.Observable) (metric.Registration, error) {
	r := &registration{provider: m.provider, call: f}
	m.provider.mu.Lock()
	defer m.provider.mu.Unlock()
	m.provider.callbacks = append(m.provider.callbacks, r)
	return r, nil
}

// Unregister implements metric.Registration.
func (r *registration) Unregister() error {
	r.provider.mu.Lock()
	defer r.provider.mu.Unlock()
	r.provider.callbacks = slices.DeleteFunc(r.provider.callbacks, func(o *registration) bool { return o == r })
	return nil
}

// An observer receives the values of gauges.
type observer struct{ noop.Observer }

// ObserveFloat64 implements metric.Observer.
func (observer) ObserveFloat64(o metric.Float64Observable, v float64, options ...metric.ObserveOption) {
	g, ok := o.(*gauge)
	if !ok {
		return
	}
	s := g.of(metric.NewObserveConfig(options).Attributes())
	s.value.Store(math.Float64bits(v))
	s.present.Store(true)
}
