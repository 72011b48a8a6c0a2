package promtext

import (
	"context"
	"strings"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// TestWriteTo compares the text of three instruments with the format's specification.
func TestWriteTo(t *testing.T) {
	var p Provider
	m := p.Meter("test")
	ctx := context.Background()
	c, err := m.Int64Counter("requests", metric.WithDescription("All\nof them."))
	if err != nil {
		t.Fatal(err)
	}
	with := func(value string) metric.MeasurementOption {
		return metric.WithAttributes(attribute.String("action.name", value))
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				c.Add(ctx, 1, with(`B"\`))
			}
		})
	}
	all.Wait()
	c.Add(ctx, 2, with("A"))
	c.Add(ctx, -5, with("A")) // a counter does not fall
	h, err := m.Float64Histogram("took", metric.WithUnit("s"), metric.WithExplicitBucketBoundaries(0.1, 1))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []float64{0.05, 0.1, 0.5, 2} {
		h.Record(ctx, v)
	}
	g, err := m.Float64ObservableGauge("open")
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error { o.ObserveFloat64(g, 7); return nil }, g)
	if err != nil {
		t.Fatal(err)
	}
	want := `# TYPE open gauge
open 7
# HELP requests_total All\nof them.
# TYPE requests_total counter
requests_total{action_name="A"} 2
requests_total{action_name="B\"\\"} 800
# TYPE took_seconds histogram
took_seconds_bucket{le="0.1"} 2
took_seconds_bucket{le="1"} 3
took_seconds_bucket{le="+Inf"} 4
took_seconds_sum 2.65
took_seconds_count 4
`
	var b strings.Builder
	if _, err := p.WriteTo(&b); err != nil || b.String() != want {
		t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
	}
	if err := r.Unregister(); err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if _, err := p.WriteTo(&b); err != nil || strings.Contains(b.String(), "open") {
		t.Errorf("a gauge without its callback: %v\n%s", err, b.String())
	}
	if _, err := m.Float64Histogram("wrong", metric.WithExplicitBucketBoundaries(1, 0.1)); err == nil {
		t.Error("bounds that are not in order are accepted")
	}
}
