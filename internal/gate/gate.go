// Package gate rejects calls into an object that is being closed.
package gate

import "sync"

// A Gate admits calls until it is shut, and waits for those that are running. A
// read-write lock is not suitable, because a call that arrives during a slow Close must
// fail at once and not wait. The zero Gate is open.
type Gate struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// Enter reports whether a call may run. If it returns true, the call must end with Leave.
func (g *Gate) Enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.running.Add(1)
	return true
}

// Leave ends a call that Enter admitted.
func (g *Gate) Leave() { g.running.Done() }

// Shut rejects new calls, waits for running ones, and reports whether it was the first
// call of Shut or Close.
func (g *Gate) Shut() bool {
	first := g.Close()
	g.Wait()
	return first
}

// Close rejects new calls, and reports whether it was the first call of Shut or Close. It
// does not wait.
func (g *Gate) Close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := !g.closed
	g.closed = true
	return first
}

// Wait waits for the running calls, after Close.
func (g *Gate) Wait() { g.running.Wait() }
