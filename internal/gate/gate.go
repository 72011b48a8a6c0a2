// Package gate keeps calls out of what is being closed.
package gate

import "sync"

// A Gate lets calls through until it is shut, and knows when the last has left. A
// lock would not do: a call that comes during a slow Close must be turned away at
// once, not wait. The zero Gate is open.
type Gate struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// Enter reports whether a call may run; if so it must Leave.
func (g *Gate) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.running.Add(1)
	return true
}

// Leave ends a call that Enter let in.
func (g *Gate) Leave() { g.running.Done() }

// Shut turns new calls away, waits for running ones, and reports whether this call
// was the first to shut.
func (g *Gate) Shut() bool {
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	g.mu.Unlock()
	g.running.Wait()
	return first
}
