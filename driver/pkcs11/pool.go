//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"sync"
	"time"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// A pool keeps a driver's sessions. A caller that waits for one can give up.
type pool struct {
	mod     *module
	permits chan struct{}

	mu     sync.Mutex
	idle   []session
	open   int // idle and in use
	denied int // permits that are held back because the token has no more sessions
	since  time.Time
}

// growth is how long a pool stays small after the token had no more sessions.
const growth = 2 * time.Second

func newPool(m *module, size int) *pool {
	return &pool{mod: m, permits: make(chan struct{}, size)}
}

// wait takes a permit to use one session. It is called before the drain is entered, so
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
func (p *pool) take(e *epoch) (session, error) {
	p.mu.Lock()
	for n := len(p.idle); n > 0; n = len(p.idle) {
		s := p.idle[n-1]
		p.idle = p.idle[:n-1]
		if s.epoch == e {
			p.mu.Unlock()
			return s, nil
		}
		p.open--
		p.end(s, e.generation)
	}
	p.open++
	p.mu.Unlock()
	handle, err := p.mod.open(e.slot)
	if err != nil {
		p.mu.Lock()
		p.open--
		p.mu.Unlock()
		return session{}, err
	}
	return session{mod: p.mod, handle: handle, epoch: e}, nil
}

// put returns a session after a successful call. From time to time it also releases a
// permit that is held back.
func (p *pool) put(s session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, s)
	if p.denied > 0 && time.Since(p.since) > growth {
		p.denied--
		<-p.permits
	}
}

// drop closes a session after an error, because some tokens leave the failed operation
// active. It does not close a session that was already closed, because its handle may
// have been assigned again.
func (p *pool) drop(s session, err error) {
	p.mu.Lock()
	p.open--
	p.mu.Unlock()
	switch codeOf(err) {
	case p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED:
		return
	}
	p.mod.ctx.CloseSession(s.handle)
}

// end closes a session of an earlier epoch, if it may still be open.
func (p *pool) end(s session, generation uint64) {
	if s.epoch.generation == generation && !s.epoch.dead.Load() {
		p.mod.ctx.CloseSession(s.handle)
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
		return fault("C_OpenSession", driver.Throttled, errSessions)
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
