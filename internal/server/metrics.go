package server

import (
	"context"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"strongroom.example/vault"
)

// instruments measure a Server. No attribute is the id of a key, a principal or anything else
// without a bound: these stand in the audit log.
type instruments struct {
	requests  metric.Int64Counter
	durations metric.Float64Histogram
	callback  metric.Registration

	sets sync.Map // label -> metric.MeasurementOption
}

// A label is what one series of requests has in common.
type label struct{ api, action, code string }

// buckets are the bounds of durations in seconds: 10 µs to 10 s.
var buckets = []float64{1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1, 2, 5, 10}

func newInstruments(p metric.MeterProvider, v *vault.Vault, conns *connections) (*instruments, error) {
	if p == nil {
		p = noop.NewMeterProvider()
	}
	m := p.Meter("strongroom.example/internal/server")
	var i instruments
	var err error
	if i.requests, err = m.Int64Counter("strongroom.requests", metric.WithDescription("Requests by API, action and error code; the code is empty for a success.")); err != nil {
		return nil, err
	}
	if i.durations, err = m.Float64Histogram("strongroom.request.duration", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(buckets...),
		metric.WithDescription("Time from the header of a request to its result, by API and action.")); err != nil {
		return nil, err
	}
	return &i, i.observeVault(m, v, conns)
}

// observeVault makes the gauges, whose values are read when they are collected.
func (i *instruments) observeVault(m metric.Meter, v *vault.Vault, conns *connections) error {
	var failed error
	gauge := func(name, text string, options ...metric.Float64ObservableGaugeOption) metric.Float64ObservableGauge {
		g, err := m.Float64ObservableGauge(name, append(options, metric.WithDescription(text))...)
		if err != nil {
			failed = err
		}
		return g
	}
	open := gauge("strongroom.connections.open", "Open connections.")
	closed := gauge("strongroom.connections.closed.for.limit", "Connections that were closed because there were too many, since the start.")
	doubt := gauge("strongroom.vault.time.in.doubt", "1 if the time of day is in doubt, so that the vault destroys nothing.")
	scrub := gauge("strongroom.vault.scrub.last", "When a scrub of the store ended last, in seconds since 1970.", metric.WithUnit("s"))
	scrubFailed := gauge("strongroom.vault.scrub.failed", "1 if the last scrub found damage or could not end.")
	backup := gauge("strongroom.vault.backup.last", "The time of the newest scheduled backup, in seconds since 1970; 0 for none.", metric.WithUnit("s"))
	backupFailed := gauge("strongroom.vault.backup.failed", "1 if the last scheduled backup failed.")
	if failed != nil {
		return failed
	}
	i.callback, failed = m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		h := v.Health()
		o.ObserveFloat64(open, float64(conns.open()))
		o.ObserveFloat64(closed, float64(conns.closed()))
		o.ObserveFloat64(doubt, number(h.TimeInDoubt))
		o.ObserveFloat64(scrubFailed, number(h.Scrub.Err != nil))
		o.ObserveFloat64(backupFailed, number(h.Backup.Err != nil))
		if !h.Scrub.Last.IsZero() {
			o.ObserveFloat64(scrub, float64(h.Scrub.Last.Unix()))
		}
		if !h.Backup.Last.IsZero() {
			o.ObserveFloat64(backup, float64(h.Backup.Last.Unix()))
		}
		return nil
	}, open, closed, doubt, scrub, scrubFailed, backup, backupFailed)
	return failed
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// request counts a request. The actions and codes are those of the APIs, so that the number
// of series is bounded.
func (i *instruments) request(r result) {
	ctx := context.Background()
	i.requests.Add(ctx, 1, i.option(label{r.api, r.action, r.code}))
	i.durations.Record(ctx, r.took.Seconds(), i.option(label{api: r.api, action: r.action}))
}

// option returns the attributes of a label, which are made once.
func (i *instruments) option(l label) metric.MeasurementOption {
	if o, ok := i.sets.Load(l); ok {
		return o.(metric.MeasurementOption)
	}
	o := metric.WithAttributeSet(attribute.NewSet(
		attribute.String("api", l.api), attribute.String("action", l.action), attribute.String("code", l.code)))
	i.sets.Store(l, o)
	return o
}

func (i *instruments) close() error {
	if i.callback == nil {
		return nil
	}
	return i.callback.Unregister()
}
