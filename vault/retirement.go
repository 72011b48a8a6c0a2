package vault

import (
	"context"

	"strongroom.example/driver"
)

// retirement is the state of material that is being destroyed: its handle is drained, and
// no new one is kept open. It ends when the material is deleted from the store and no
// goroutine that read it before is still opening it.
type retirement struct {
	closed chan struct{} // closed when the key is, after running calls
	gone   bool
}

// retire closes the handle of material that will be destroyed and waits for running calls
// to end. After that no handle of the material is kept open.
func (h *handles) retire(ctx context.Context, id driver.MaterialID) error {
	select {
	case <-h.retirement(id).closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retirement starts the retirement of material, if it has not started.
func (h *handles) retirement(id driver.MaterialID) *retirement {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.retired[id]; r != nil {
		return r
	}
	r := &retirement{closed: make(chan struct{})}
	h.retired[id] = r
	one := h.open[id]
	delete(h.open, id)
	if one == nil {
		close(r.closed)
		return r
	}
	h.closing.Go(func() {
		defer close(r.closed)
		one.key.Close()
	})
	return r
}

// forget ends the retirement of material that was deleted from the store.
func (h *handles) forget(id driver.MaterialID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch r := h.retired[id]; {
	case r == nil:
	case h.opening[id] > 0:
		r.gone = true
	default:
		delete(h.retired, id)
	}
}
