//go:build cgo && unix

package session

import (
	"context"
	"errors"
	"sync/atomic"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/object"
	"strongroom.example/driver/pkcs11/internal/pin"
	"strongroom.example/driver/pkcs11/internal/selftest"
)

// A token is one token of a module, shared by all drivers that are open on it, because a
// login applies to the whole process. It stays in the module's table, so that its record
// of refused PINs outlives its drivers.
type token struct {
	mod  *module
	name tokenName

	// epoch is the current login, nil if there is none.
	epoch atomic.Pointer[object.LoginEpoch]
	// down: the last repair failed, so calls do not try the token first.
	down    atomic.Bool
	breaker breaker
	// sentinel is nil until the first driver has opened.
	sentinel atomic.Pointer[object.Object]

	levels    object.FallbackLevels
	destroyed atomic.Uint64
	ids       idLocks
	// failedDestroys has the keys that the token could not destroy.
	failedDestroys object.FailedDestroys
	writer         mutex // held to make or destroy a key, unless the profile allows concurrent writers

	lock    mutex             // guards what follows, and attaching
	users   []*pin.Credential // one for each driver, in the order of joining
	epochs  uint64
	logins  *loginState
	noLogin bool // from the profile of the first user

	selfTestLock mutex                       // held during the self-test; guards what follows
	selfTests    map[string]*selftest.Result // by profile, firmware and omitted abilities
}

// tokenFor returns the one token with a name. If the token is not found, or the module
// fails, the module is initialised again, because the token may have been inserted after
// the first initialisation, and some modules fail until then.
func (m *module) tokenFor(ctx context.Context, name tokenName) (*token, p11.TokenInfo, error) {
	generation := m.generation.Load()
	at, err := m.findNow(ctx, name)
	if recovery := cryptoki.Classify(err).Recovery; errors.Is(err, errNotThere) || recovery == cryptoki.Reinitialise || recovery == cryptoki.Ambiguous {
		if err := m.reinitialiseForAll(ctx, generation); err != nil {
			return nil, p11.TokenInfo{}, err
		}
		at, err = m.findNow(ctx, name)
	}
	if err != nil {
		return nil, p11.TokenInfo{}, cryptoki.DriverError(err)
	}
	exact := tokenName{cryptoki.TrimPadding(at.Info.SerialNumber), cryptoki.TrimPadding(at.Info.Label)}
	if err := m.lock.take(ctx); err != nil {
		return nil, p11.TokenInfo{}, err
	}
	defer m.lock.give()
	t := m.tokens[exact.String()]
	if t == nil {
		t = &token{mod: m, name: exact, lock: newMutex(), writer: newMutex(), selfTestLock: newMutex(), logins: newLoginState(), selfTests: make(map[string]*selftest.Result)}
		m.tokens[exact.String()] = t
	}
	return t, at.Info, nil
}

// findNow is find as a counted call.
func (m *module) findNow(ctx context.Context, name tokenName) (object.TokenSlot, error) {
	if err := m.calls.enter(ctx); err != nil {
		return object.TokenSlot{}, err
	}
	defer m.calls.leave()
	return m.find(name)
}

// attach opens an anchor session and logs in, which begins a new epoch. The caller holds
// the lock.
func (t *token) attach(ctx context.Context, pin []byte) error {
	if err := t.mod.calls.enter(ctx); err != nil {
		return err
	}
	defer t.mod.calls.leave()
	generation := t.mod.generation.Load()
	at, err := t.mod.find(t.name)
	if err != nil {
		return cryptoki.DriverError(err)
	}
	old := t.previousEpoch(generation)
	anchor, err := t.mod.Open(at.Slot)
	if err != nil {
		return cryptoki.DriverError(err)
	}
	open := t.noLogin || !wantsLogin(at.Info.Flags, pin)
	if !open {
		err = t.logins.login(tokenSession{t.mod.Library, at.Info, anchor}, pin)
	}
	if err != nil {
		t.mod.Ctx.CloseSession(anchor)
		return err
	}
	if old != nil {
		t.mod.Ctx.CloseSession(old.Anchor)
	}
	t.epochs++
	t.epoch.Store(&object.LoginEpoch{Number: t.epochs, Generation: generation, InitCount: t.mod.initCount.Load(), TokenSlot: at, Anchor: anchor, NoLogin: open, Levels: &t.levels, Destroyed: &t.destroyed})
	return nil
}

// previousEpoch returns the epoch before a new one if its anchor session is still open,
// as after a logout. Otherwise all of its sessions have ended, and their handles must not
// be closed, because they may have been assigned again.
func (t *token) previousEpoch(generation uint64) *object.LoginEpoch {
	old := t.epoch.Load()
	if old == nil || old.Generation != generation {
		return nil
	}
	_, err := t.mod.Ctx.GetSessionInfo(old.Anchor)
	switch cryptoki.CodeOf(cryptoki.Convert("C_GetSessionInfo", err)) {
	case p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED, p11.CKR_DEVICE_REMOVED, p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_TOKEN_NOT_RECOGNIZED, p11.CKR_SLOT_ID_INVALID, p11.CKR_CRYPTOKI_NOT_INITIALIZED:
		old.Dead.Store(true)
		return nil
	}
	return old
}
