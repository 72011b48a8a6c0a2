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
// goroutine at a time; the breaker has all others answer at once meanwhile.
type breaker struct {
	mu       sync.Mutex
	failures int
	until    time.Time
}

// resting reports whether no attempt may be made now.
func (b *breaker) resting() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures > 0 && time.Now().Before(b.until)
}

// record notes how an attempt ended.
func (b *breaker) record(ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ok {
		b.failures = 0
		return
	}
	rest := min(longRest, firstRest<<min(b.failures, 8))
	b.failures++
	b.until = time.Now().Add(rest - rand.N(rest/2))
}
