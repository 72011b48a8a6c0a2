package vault

import (
	"testing"
	"time"

	"strongroom.example/driver"
)

// reluctant is a key of a device that takes its time to close it.
type reluctant struct{ closing, closed chan struct{} }

func (r reluctant) Close() error {
	r.closing <- struct{}{}
	<-r.closed
	return nil
}

// TestHandlesDoNotWait: while a device closes a key, the others are used.
func TestHandlesDoNotWait(t *testing.T) {
	h := newHandles()
	slow := reluctant{make(chan struct{}), make(chan struct{})}
	h.give(h.put(driver.MaterialID{1}, slow))
	used := driver.MaterialID{2}
	h.put(used, &countingKey{})
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
			t.Error("a key in use was closed")
		}
	case <-time.After(5 * time.Second):
		t.Error("a key waits for another to be closed")
	}
	close(slow.closed)
	<-done
	if n := len(h.open); n != 1 {
		t.Errorf("%d handles are open", n)
	}
}
