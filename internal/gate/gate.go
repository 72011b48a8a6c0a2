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
	first := g.Close()
	g.Wait()
	return first
}

// Close turns new calls away, and reports whether this call was the first to do so.
func (g *Gate) Close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.closed
	g.closed = true
	return first
}

// Wait waits for the calls that are running, after Close.
func (g *Gate) Wait() { g.running.Wait() }
