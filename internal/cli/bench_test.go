package cli

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// TestMeasureShortTurn: each caller makes one call, even if the turn is over before it runs.
func TestMeasureShortTurn(t *testing.T) {
	var calls atomic.Int64
	b := bencher{callers: 3, turn: time.Nanosecond}
	m, err := b.measure(t.Context(), func(context.Context) error { calls.Add(1); return nil })
	if err != nil || m.Operations != 3 || calls.Load() != 3 || m.PerSecond <= 0 {
		t.Errorf("%d calls give %+v, %v, want an operation of each of 3 callers", calls.Load(), m, err)
	}
	failure := errors.New("failure")
	if _, err := b.measure(t.Context(), func(context.Context) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("a call that fails: %v", err)
	}
}
