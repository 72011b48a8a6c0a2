package drivertest

import (
	"context"
	"errors"
	"sync"

	"strongroom.example/driver"
)

var errClosed = errors.New("it is closed")

// A gate admits calls until it is closed, and then waits for the calls inside.
type gate struct {
	mu      sync.Mutex
	shut    bool
	running sync.WaitGroup
}

// enter admits a call, which must call leave. It rejects a call whose context is done.
func (g *gate) enter(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		return failure(op, driver.Unavailable, errClosed)
	}
	g.running.Add(1)
	return nil
}

func (g *gate) leave() { g.running.Done() }

// close closes the gate and waits. It may be called again.
func (g *gate) close() {
	g.mu.Lock()
	g.shut = true
	g.mu.Unlock()
	g.running.Wait()
}

func failure(op string, class driver.Class, cause error) error {
	return &driver.Error{Op: op, Class: class, Err: cause}
}
