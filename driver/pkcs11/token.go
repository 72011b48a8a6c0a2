//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"sync/atomic"

	p11 "github.com/miekg/pkcs11"
)

// A token is one token of a module, shared by all drivers that are open on it, because a
// login applies to the whole process. It stays in the module's table, so that its record
// of refused PINs outlives its drivers.
type token struct {
	mod  *module
	name tokenName

	// epoch is the current login, nil if there is none.
	epoch atomic.Pointer[epoch]
	// down: the last repair failed, so calls do not try the token first.
	down    atomic.Bool
	breaker breaker
	// sentinel is nil until the first driver has opened.
	sentinel atomic.Pointer[object]

	tiers     tierBook
	destroyed atomic.Uint64
	ids       keyedLock
	// undestroyed has the keys that the token could not destroy.
	undestroyed survivors
	unrecorded  unrecordedBook
	writer      lock // held to make or destroy a key, unless the profile allows concurrent writers

	lock    lock          // guards what follows, and attaching
	users   []*credential // one for each driver, in the order of joining
	epochs  uint64
	latch   *latch
	noLogin bool // from the profile of the first user

	trials lock                  // held during the self-test; guards what follows
	able   map[string]*abilities // by profile, firmware and omitted abilities
}

// An epoch is the time between one login and the next. Sessions and object handles belong
// to one epoch and are invalid in another.
type epoch struct {
	number, generation uint64
	tokenSlot
	// anchor is a session that stays open and is not used otherwise, because the login
	// ends with the last session of a token.
	anchor  p11.SessionHandle
	noLogin bool        // there is no login, because the token needs none
	dead    atomic.Bool // its sessions ended with it
	tiers   *tierBook
	// destroyed counts the objects that this process has destroyed in the token.
	destroyed *atomic.Uint64
}

// A tokenSession is a session that is to log in.
type tokenSession struct {
	mod     *module
	info    p11.TokenInfo
	session p11.SessionHandle
}

// tokenFor returns the one token with a name. If the token is not found, or the module
// fails, the module is initialised again, because the token may have been inserted after
// the first initialisation, and some modules fail until then.
func (m *module) tokenFor(ctx context.Context, name tokenName) (*token, p11.TokenInfo, error) {
	generation := m.generation.Load()
	at, err := m.look(ctx, name)
	if cure := judge(err).cure; errors.Is(err, errNotThere) || cure == renewal || cure == doubt {
		if err := m.renewForAll(ctx, generation); err != nil {
			return nil, p11.TokenInfo{}, err
		}
		at, err = m.look(ctx, name)
	}
	if err != nil {
		return nil, p11.TokenInfo{}, failed(err)
	}
	exact := tokenName{trim(at.info.SerialNumber), trim(at.info.Label)}
	if err := m.lock.take(ctx); err != nil {
		return nil, p11.TokenInfo{}, err
	}
	defer m.lock.give()
	t := m.tokens[exact.String()]
	if t == nil {
		t = &token{mod: m, name: exact, lock: newLock(), writer: newLock(), trials: newLock(), latch: newLatch(), able: make(map[string]*abilities)}
		m.tokens[exact.String()] = t
	}
	return t, at.info, nil
}

// look is find, within the drain.
func (m *module) look(ctx context.Context, name tokenName) (tokenSlot, error) {
	if err := m.drain.enter(ctx); err != nil {
		return tokenSlot{}, err
	}
	defer m.drain.leave()
	return m.find(name)
}

// attach opens an anchor session and logs in, which begins a new epoch. The caller holds
// the lock.
func (t *token) attach(ctx context.Context, pin []byte) error {
	if err := t.mod.drain.enter(ctx); err != nil {
		return err
	}
	defer t.mod.drain.leave()
	generation := t.mod.generation.Load()
	at, err := t.mod.find(t.name)
	if err != nil {
		return failed(err)
	}
	old := t.living(generation)
	anchor, err := t.mod.open(at.slot)
	if err != nil {
		return failed(err)
	}
	open := t.noLogin || !wantsLogin(at.info.Flags, pin)
	if !open {
		err = t.latch.login(tokenSession{t.mod, at.info, anchor}, pin)
	}
	if err != nil {
		t.mod.ctx.CloseSession(anchor)
		return err
	}
	if old != nil {
		t.mod.ctx.CloseSession(old.anchor)
	}
	t.epochs++
	t.epoch.Store(&epoch{number: t.epochs, generation: generation, tokenSlot: at, anchor: anchor, noLogin: open, tiers: &t.tiers, destroyed: &t.destroyed})
	return nil
}

// wantsLogin reports whether the driver logs in. If a PIN is given and the token has one,
// it does so regardless of CKF_LOGIN_REQUIRED, because some tokens do not set that flag
// but need a login for private objects.
func wantsLogin(flags uint, pin []byte) bool {
	return flags&p11.CKF_LOGIN_REQUIRED != 0 || pin != nil && flags&p11.CKF_USER_PIN_INITIALIZED != 0
}

// living returns the epoch before a new one if its anchor session is still open, as after
// a logout. Otherwise all of its sessions have ended, and their handles must not be
// closed, because they may have been assigned again.
func (t *token) living(generation uint64) *epoch {
	old := t.epoch.Load()
	if old == nil || old.generation != generation {
		return nil
	}
	_, err := t.mod.ctx.GetSessionInfo(old.anchor)
	switch codeOf(from("C_GetSessionInfo", err)) {
	case p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED, p11.CKR_DEVICE_REMOVED, p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_TOKEN_NOT_RECOGNIZED, p11.CKR_SLOT_ID_INVALID, p11.CKR_CRYPTOKI_NOT_INITIALIZED:
		old.dead.Store(true)
		return nil
	}
	return old
}

// open opens a session. All sessions are read-write, because some tokens have no
// read-only ones.
func (m *module) open(slot uint) (p11.SessionHandle, error) {
	s, err := m.ctx.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
	return s, from("C_OpenSession", err)
}
