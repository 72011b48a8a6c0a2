//go:build cgo && unix

package pkcs11

import (
	"context"
	"sync"
)

// A drain controls the calls into a module. Calls run concurrently, or one at a time.
// Before the module is finalised the drain is shut, which waits until no call is inside,
// because finalising a module during a call may crash the process.
type drain struct {
	// single is held by the one call inside; nil if calls run concurrently. It is set
	// before the first call.
	single lock

	mu      sync.Mutex
	inside  int
	blocked chan struct{} // closed when the drain opens again; nil while it is open
	empty   chan struct{} // closed when the last call leaves; nil if no goroutine waits for that
}

// enter lets a call in; the caller then calls leave. While the drain is shut it waits.
func (d *drain) enter(ctx context.Context) error {
	if d.single == nil {
		return d.pass(ctx)
	}
	if err := d.single.take(ctx); err != nil {
		return err
	}
	err := d.pass(ctx)
	if err != nil {
		d.single.give()
	}
	return err
}

// pass waits while the drain is shut, and counts the call.
func (d *drain) pass(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.mu.Lock()
		blocked := d.blocked
		if blocked == nil {
			d.inside++
			d.mu.Unlock()
			return nil
		}
		d.mu.Unlock()
		select {
		case <-blocked:
		case <-ctx.Done():
		}
	}
}

func (d *drain) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	if d.inside == 0 && d.empty != nil {
		close(d.empty)
		d.empty = nil
	}
	if d.single != nil {
		d.single.give()
	}
}

// shut holds new calls back and waits for those inside. If the context ends first the
// drain is opened again. Only one goroutine at a time may shut it.
func (d *drain) shut(ctx context.Context) error {
	d.mu.Lock()
	d.blocked = make(chan struct{})
	if d.inside == 0 {
		d.mu.Unlock()
		return nil
	}
	empty := make(chan struct{})
	d.empty = empty
	d.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		d.open()
		return ctx.Err()
	}
}

// open lets calls in again.
func (d *drain) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.blocked)
	d.blocked, d.empty = nil, nil
}
