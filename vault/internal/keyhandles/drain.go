package keyhandles

import (
	"context"

	"strongroom.example/driver"
)

// drain is the state of material that is being destroyed: its handle is closed, and no new
// one is kept open. It ends when the material is deleted from the store and no goroutine
// that read it before is still opening it.
type drain struct {
	closed   chan struct{} // closed when the key is, after running calls
	released bool
}

// Drain closes the handle of material that will be destroyed and waits for running calls to
// end. After that no handle of the material is kept open, until Release.
func (p *Pool) Drain(ctx context.Context, id driver.MaterialID) error {
	select {
	case <-p.startDrain(id).closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// startDrain starts to drain material, if that has not started.
func (p *Pool) startDrain(id driver.MaterialID) *drain {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := p.draining[id]; d != nil {
		return d
	}
	d := &drain{closed: make(chan struct{})}
	p.draining[id] = d
	h := p.open[id]
	delete(p.open, id)
	if h == nil {
		close(d.closed)
		return d
	}
	p.closing.Go(func() {
		defer close(d.closed)
		h.key.Close()
	})
	return d
}

// Release ends the drain of material that was deleted from the store.
func (p *Pool) Release(id driver.MaterialID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch d := p.draining[id]; {
	case d == nil:
	case p.opening[id] > 0:
		d.released = true
	default:
		delete(p.draining, id)
	}
}
