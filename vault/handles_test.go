package vault

import (
	"context"
	"testing"
	"time"

	"strongroom.example/driver"
)

// reluctant is a device key whose Close blocks.
type reluctant struct{ closing, closed chan struct{} }

func (r reluctant) Close() error {
	r.closing <- struct{}{}
	<-r.closed
	return nil
}

// TestHandlesDoNotWait: while a device closes a key, other keys can be used.
func TestHandlesDoNotWait(t *testing.T) {
	h := newHandles()
	slow := reluctant{make(chan struct{}), make(chan struct{})}
	h.give(h.put(driver.MaterialID{1}, slow, 0))
	used := driver.MaterialID{2}
	h.put(used, &countingKey{}, 0)
	done := make(chan struct{})
	go func() { h.trim(); close(done) }()
	<-slow.closing
	taken := make(chan bool, 1)
	go func() {
		_, ok := h.take(used)
		taken <- ok
	}()
	select {
	case ok := <-taken:
		if !ok {
			t.Error("a key was closed while it was in use")
		}
	case <-time.After(5 * time.Second):
		t.Error("an operation waits for the closing of another key")
	}
	close(slow.closed)
	<-done
	if n := len(h.open); n != 1 {
		t.Errorf("%d handles are open", n)
	}
}

// TestRetirementWaits: retire waits until the key is closed, and returns the error of the
// context each time that the context ends first.
func TestRetirementWaits(t *testing.T) {
	h := newHandles()
	slow, id := reluctant{make(chan struct{}), make(chan struct{})}, driver.MaterialID{1}
	h.give(h.put(id, slow, 0))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-slow.closing; cancel() }()
	for range 2 {
		if err := h.retire(ctx, id); err != context.Canceled {
			t.Errorf("retire before the key is closed: %v, want context.Canceled", err)
		}
	}
	if h.begin(id) {
		t.Error("begin returned true while the material is being destroyed")
	}
	close(slow.closed)
	if err := h.retire(t.Context(), id); err != nil {
		t.Error(err)
	}
	h.forget(id)
	if len(h.retired) != 0 || !h.begin(id) {
		t.Error("the retirement did not end")
	}
	h.closeAll()
}

// TestRetirementLasts: a retirement lasts until no goroutine is left that read the material
// before it was deleted.
func TestRetirementLasts(t *testing.T) {
	h, id := newHandles(), driver.MaterialID{1}
	late := [2]*countingKey{{}, {}}
	for range late {
		h.begin(id)
	}
	if err := h.retire(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	h.forget(id)
	for i, key := range late {
		if h.retired[id] == nil {
			t.Errorf("the retirement ended before opener %d has", i)
		}
		h.give(h.put(id, key, 0))
		h.end(id)
		if _, open := h.open[id]; open || key.closed != 1 {
			t.Errorf("opener %d: its handle is kept open: %v; its key was closed %d times, want 1", i, open, key.closed)
		}
	}
	if len(h.retired)+len(h.opening) != 0 {
		t.Errorf("state remains: retired %v, opening %v", h.retired, h.opening)
	}
}
