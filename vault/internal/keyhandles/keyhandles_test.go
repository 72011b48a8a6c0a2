package keyhandles

import (
	"context"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/poll"
)

// slowCloseKey is a device key whose Close blocks.
type slowCloseKey struct{ closing, closed chan struct{} }

func (r slowCloseKey) Close() error {
	r.closing <- struct{}{}
	<-r.closed
	return nil
}

type countingKey struct{ closed int }

func (k *countingKey) Close() error { k.closed++; return nil }

// TestHandlesDoNotWaitForClose: while a device closes a key, other keys can be used.
func TestHandlesDoNotWaitForClose(t *testing.T) {
	h := New()
	slow := slowCloseKey{make(chan struct{}), make(chan struct{})}
	h.Give(h.Put(driver.MaterialID{1}, slow, 0))
	used := driver.MaterialID{2}
	h.Put(used, &countingKey{}, 0)
	done := make(chan struct{})
	go func() { h.Trim(); close(done) }()
	<-slow.closing
	taken := make(chan bool, 1)
	go func() {
		_, ok := h.Take(used)
		taken <- ok
	}()
	select {
	case ok := <-taken:
		if !ok {
			t.Error("a key was closed while it was in use")
		}
	case <-time.After(poll.Limit):
		t.Error("an operation waits for the closing of another key")
	}
	close(slow.closed)
	<-done
	if n := len(h.open); n != 1 {
		t.Errorf("%d handles are open", n)
	}
}

// TestDrainWaits: Drain waits until the key is closed, and returns the error of the
// context each time that the context ends first.
func TestDrainWaits(t *testing.T) {
	h := New()
	slow, id := slowCloseKey{make(chan struct{}), make(chan struct{})}, driver.MaterialID{1}
	h.Give(h.Put(id, slow, 0))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-slow.closing; cancel() }()
	for range 2 {
		if err := h.Drain(ctx, id); err != context.Canceled {
			t.Errorf("Drain before the key is closed: %v, want context.Canceled", err)
		}
	}
	if h.Begin(id) {
		t.Error("Begin returned true while the material is being destroyed")
	}
	close(slow.closed)
	if err := h.Drain(t.Context(), id); err != nil {
		t.Error(err)
	}
	h.Release(id)
	if len(h.draining) != 0 || !h.Begin(id) {
		t.Error("the drain did not end")
	}
	h.Close()
}

// TestDrainLastsForOpeners: a drain lasts until no goroutine is left that read the material
// before it was deleted.
func TestDrainLastsForOpeners(t *testing.T) {
	h, id := New(), driver.MaterialID{1}
	late := [2]*countingKey{{}, {}}
	for range late {
		h.Begin(id)
	}
	if err := h.Drain(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.Release(id)
	for i, key := range late {
		if h.draining[id] == nil {
			t.Errorf("the drain ended before opener %d has", i)
		}
		h.Give(h.Put(id, key, 0))
		h.End(id)
		if _, open := h.open[id]; open || key.closed != 1 {
			t.Errorf("opener %d: its handle is kept open: %v; its key was closed %d times, want 1", i, open, key.closed)
		}
	}
	if len(h.draining)+len(h.opening) != 0 {
		t.Errorf("state remains: draining %v, opening %v", h.draining, h.opening)
	}
}
