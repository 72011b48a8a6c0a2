//go:build cgo && unix

package session

import (
	"context"
	"errors"
	"sync"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
)

// A lease is a session of a pool.
type lease struct {
	object.Session
	calls   int       // since yielded
	yielded time.Time // when its user last let others run
}

// yieldInterval is how long a goroutine makes short calls without a pause before it lets
// other goroutines run. Go's scheduler watches goroutines that run for 10 ms without a
// pause. If it finds one in C, it takes its processor away, and then wakes every 20 µs to
// do so again, which cost a twentieth of SoftHSM's throughput. A goroutine that pauses in
// time is not affected. yieldInterval is a tenth of that time, because sessions change
// hands and a session's count includes the calls of several goroutines. Long calls should
// be noticed by the scheduler, so that other goroutines run during them.
const (
	yieldInterval = time.Millisecond
	shortCalls    = 16 // fewer calls than this in two yieldIntervals are not short
)

// shouldYield reports, after a call, whether the caller should let other goroutines run.
// If the calls took two intervals, there were pauses or the calls were not short, and no
// pause is needed.
func (s *lease) shouldYield() bool {
	if s.calls++; s.calls%shortCalls != 0 {
		return false
	}
	worked := time.Since(s.yielded)
	if worked < yieldInterval {
		return false
	}
	s.calls, s.yielded = 0, time.Now()
	return worked < 2*yieldInterval
}

// A pool keeps a driver's sessions. A caller that waits for one can give up.
type pool struct {
	mod     *module
	permits chan struct{}

	mu     sync.Mutex
	idle   []lease
	open   int // idle and in use
	denied int // permits that are held back because the token has no more sessions
	since  time.Time
}

// growthDelay is how long a pool stays small after the token had no more sessions.
const growthDelay = 2 * time.Second

func newPool(m *module, size int) *pool {
	return &pool{mod: m, permits: make(chan struct{}, size)}
}

// wait takes a permit to use one session. It is called before the call is counted, so
// that waiting calls are not inside it.
func (p *pool) wait(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case p.permits <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.permits <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pool) done() { <-p.permits }

// take returns a session of the epoch: the one used last, or a new one. It discards
// sessions of older epochs. They ended with the login, except those of an epoch that only
// a logout ended, which it closes.
func (p *pool) take(e *object.LoginEpoch) (lease, error) {
	p.mu.Lock()
	for n := len(p.idle); n > 0; n = len(p.idle) {
		s := p.idle[n-1]
		p.idle = p.idle[:n-1]
		if s.Epoch == e {
			p.mu.Unlock()
			return s, nil
		}
		p.open--
		p.end(s, e.Generation)
	}
	p.open++
	p.mu.Unlock()
	handle, err := p.mod.Open(e.Slot)
	if err != nil {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
		return lease{}, err
	}
	return lease{Session: object.Session{Lib: p.mod.Library, Handle: handle, Epoch: e}}, nil
}

// put returns a session after a successful call. From time to time it also releases a
// permit that is held back.
func (p *pool) put(s lease) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, s)
	if p.denied > 0 && time.Since(p.since) > growthDelay {
		p.denied--
		<-p.permits
	}
}

// drop closes a session after an error, because some tokens leave the failed operation
// active. It does not close a session that was already closed, because its handle may
// have been assigned again.
func (p *pool) drop(s lease, err error) {
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
	switch cryptoki.CodeOf(err) {
	case p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED:
		return
	}
	p.mod.Ctx.CloseSession(s.Handle)
}

// end closes a session of an earlier epoch, if it may still be open.
func (p *pool) end(s lease, generation uint64) {
	if s.Epoch.Generation == generation && !s.Epoch.Dead.Load() {
		p.mod.Ctx.CloseSession(s.Handle)
	}
}

var errSessions = errors.New("the token has no more sessions")

// shrink is called when the token has no more sessions. If other sessions of this pool
// are in use, it keeps the caller's permit back, which makes the pool smaller. Otherwise
// there is no session to wait for, and the error is Throttled.
func (p *pool) shrink() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == 0 {
		return cryptoki.Fault("C_OpenSession", driver.Throttled, errSessions)
	}
	p.denied++
	p.since = time.Now()
	return nil
}

// close closes all sessions. None may be in use.
func (p *pool) close(generation uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.idle {
		p.end(s, generation)
	}
	p.idle, p.open = nil, 0
}
