//go:build cgo && unix

package session

import (
	"context"
	"sync"
)

// inflightCalls controls the calls into a module. Calls run concurrently, or one at a time.
// Before the module is finalised they are blocked, which waits until no call is inside,
// because finalising a module during a call may crash the process.
type inflightCalls struct {
	// single is held by the one call inside; nil if calls run concurrently. It is set
	// before the first call.
	single mutex

	mu      sync.Mutex
	inside  int
	blocked chan struct{} // closed when calls are let in again; nil while they are
	empty   chan struct{} // closed when the last call leaves; nil if no goroutine waits for that
}

// enter lets a call in; the caller then calls leave. While calls are blocked it waits.
func (d *inflightCalls) enter(ctx context.Context) error {
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

// pass waits while calls are blocked, and counts the call.
func (d *inflightCalls) pass(ctx context.Context) error {
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

func (d *inflightCalls) leave() {
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

// block holds new calls back and waits for those inside. If the context ends first the
// new calls are let in again. Only one goroutine at a time may block.
func (d *inflightCalls) block(ctx context.Context) error {
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
func (d *inflightCalls) open() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.blocked)
	d.blocked, d.empty = nil, nil
}
