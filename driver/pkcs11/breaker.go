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

// A breaker limits the attempts to repair a token: after each failure it waits, twice as
// long each time up to a second, minus a random part. One goroutine makes the attempts;
// during the wait all others get the last failure at once.
type breaker struct {
	mu       sync.Mutex
	failures int
	until    time.Time
	last     error
}

// resting returns the last failure during the wait, otherwise nil.
func (b *breaker) resting() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures > 0 && time.Now().Before(b.until) {
		return b.last
	}
	return nil
}

// record records the result of an attempt.
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
