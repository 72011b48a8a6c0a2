package clock

import (
	"crypto/rand"
	"sync/atomic"
	"time"
)

// System returns the machine's clock. A process should call it once: on systems without a
// boot id each clock has an ID of its own.
func System() Clock {
	if id, ok := bootID(); ok {
		return &system{id: id, since: sinceBoot}
	}
	var id [16]byte
	rand.Read(id[:]) // never fails
	start := time.Now()
	return &system{id: id, since: func() time.Duration { return time.Since(start) }}
}

type system struct {
	id     [16]byte
	since  func() time.Duration
	last   atomic.Pointer[reading]
	latest atomic.Int64 // the largest result of Boot
}

// A reading is the time since boot at one moment.
type reading struct {
	at    time.Time
	since time.Duration
}

// fresh is how long a reading is advanced by the monotonic clock, which costs no system
// call but stops during suspend. The clock therefore notices a suspend up to fresh late.
const fresh = 10 * time.Millisecond

func (c *system) Now() time.Time { return time.Now().UTC() }

func (c *system) Boot() (id [16]byte, since time.Duration) {
	now := time.Now()
	r := c.last.Load()
	if r == nil || now.Sub(r.at) >= fresh {
		read := c.since()
		now = time.Now() // read last, so that a pause in between does not advance the result
		r = &reading{at: now, since: read}
		c.last.Store(r)
	}
	return c.id, c.forward(r.since + now.Sub(r.at))
}

// forward returns the larger of since and all results of Boot so far.
func (c *system) forward(since time.Duration) time.Duration {
	for {
		latest := c.latest.Load()
		if int64(since) <= latest {
			return time.Duration(latest)
		}
		if c.latest.CompareAndSwap(latest, int64(since)) {
			return since
		}
	}
}
