//go:build cgo && unix

package pkcs11

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	firstRest = 50 * time.Millisecond
	longRest  = time.Second
)

// A breaker spaces the attempts to bring a token back: after each failure it rests,
// for twice as long up to a second, less a random part. Attempts are made by one
// goroutine at a time; all others get the last failure at once meanwhile.
type breaker struct {
	mu       sync.Mutex
	failures int
	until    time.Time
	last     error
}

// resting returns the last failure while no attempt may be made.
func (b *breaker) resting() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures > 0 && time.Now().Before(b.until) {
		return b.last
	}
	return nil
}

// record notes how an attempt ended.
func (b *breaker) record(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = err
	if err == nil {
		b.failures = 0
		return
	}
	rest := min(longRest, firstRest<<min(b.failures, 8))
	b.failures++
	b.until = time.Now().Add(rest - rand.N(rest/2))
}
