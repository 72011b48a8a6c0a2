package vault

import (
	"context"

	"strongroom.example/driver"
)

// retirement is of material that is being destroyed: it is not kept open any more. It
// ends when the material is gone from the store, where nobody finds it then, and nobody
// is left who had found it before.
type retirement struct {
	closed chan struct{} // its key, after running calls
	gone   bool
}

// retire closes the key of material that is to be destroyed, and waits until running
// calls have ended. From then on it is never kept open.
func (h *handles) retire(ctx context.Context, id driver.MaterialID) error {
	select {
	case <-h.retirement(id).closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retirement begins the retirement of material, unless it has begun.
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

// forget ends the retirement of material that is gone from the store.
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
