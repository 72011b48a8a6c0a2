//go:build cgo && unix

package pkcs11

import "sync"

// A gate lets calls through until it is shut for good, and knows when the last has
// left. A call that comes while a slow one is waited for is turned away at once.
type gate struct {
	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// enter reports whether a call may run; if so it must leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.running.Add(1)
	return true
}

func (g *gate) leave() { g.running.Done() }

// shut turns new calls away, waits for running ones, and reports whether this call
// was the first to shut.
func (g *gate) shut() bool {
	g.mu.Lock()
	first := !g.closed
	g.closed = true
	g.mu.Unlock()
	g.running.Wait()
	return first
}
