package drivertest

import (
	"context"
	"sync"

	"strongroom.example/driver"
)

func deadlineMutants() []mutant {
	return []mutant{
		{name: "returns after its deadline", open: over(func(m *Memory) late { return late{m, new(hang)} }),
			caught: []string{"DeadlineEndsWait"}},
	}
}

// hang blocks calls.
type hang struct {
	mu       sync.Mutex
	released chan struct{}
}

func (h *hang) Hang() (release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	released := make(chan struct{})
	h.released = released
	return func() { close(released) }
}

func (h *hang) wait() {
	h.mu.Lock()
	released := h.released
	h.mu.Unlock()
	if released != nil {
		<-released
	}
}

// A late driver waits for its device and ignores the context.
type late struct {
	*Memory
	*hang
}

func (d late) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	k, err := d.Memory.OpenKey(ctx, id, spec, blob)
	if prf, ok := k.(driver.PRF); ok && err == nil {
		return latePRF{prf, d.hang}, nil
	}
	return k, err
}

type latePRF struct {
	prf driver.PRF
	*hang
}

func (k latePRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	k.wait()
	return k.prf.PRF(ctx, dst, input)
}

func (k latePRF) Close() error { return k.prf.Close() }
