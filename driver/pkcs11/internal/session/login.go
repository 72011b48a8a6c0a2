//go:build cgo && unix

package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/driver/pkcs11/internal/pin"
	"strongroom.example/internal/suite"
)

// A loginState remembers PINs as keyed hashes: the one that the token accepted, and those
// that it refused, so that no wrong PIN is tried twice.
type loginState struct {
	key      [32]byte
	accepted *[32]byte
	refused  map[[32]byte]bool
}

func newLoginState() *loginState {
	l := &loginState{refused: make(map[[32]byte]bool)}
	rand.Read(l.key[:])
	return l
}

func (l *loginState) digest(pin []byte) [32]byte { return suite.AES.MAC(l.key[:], pin) }

var (
	errRefusedBefore = errors.New("the token refused this PIN before; it is not tried again in this process, so that the token is not locked")
	errOtherPIN      = errors.New("the token is in use in this process with another PIN")
	errFinalTry      = errors.New("the token says that one more wrong PIN locks it: log in with its own tool first, which resets the count")
	errLocked        = errors.New("the token's user PIN is locked: its security officer can set it anew")
	errNotSet        = errors.New("the token has no user PIN yet: initialise it with its own tool")
	errNoSource      = errors.New("the token wants a login, and no PIN is configured")
)

// allows returns an error if a login must not be attempted, given the token's flags and
// the refused PINs.
func (l *loginState) allows(flags uint, pin []byte) error {
	switch {
	case flags&p11.CKF_USER_PIN_INITIALIZED == 0:
		return errNotSet
	case flags&p11.CKF_USER_PIN_LOCKED != 0:
		return errLocked
	case flags&p11.CKF_USER_PIN_FINAL_TRY != 0:
		return errFinalTry
	case l.refused[l.digest(pin)]:
		return errRefusedBefore
	case pin == nil && flags&p11.CKF_PROTECTED_AUTHENTICATION_PATH == 0:
		return errNoSource
	}
	return nil
}

// login attempts one login on a session.
func (l *loginState) login(t tokenSession, pin []byte) error {
	if err := l.allows(t.info.Flags, pin); err != nil {
		return cryptoki.Fault("C_Login", driver.Denied, err)
	}
	if n := uint(len(pin)); pin != nil && (n < t.info.MinPinLen || t.info.MaxPinLen != 0 && n > t.info.MaxPinLen) {
		return cryptoki.Fault("C_Login", driver.Denied, fmt.Errorf("the token's PIN has %d to %d bytes", t.info.MinPinLen, t.info.MaxPinLen))
	}
	digest := l.digest(pin)
	err := t.lib.Login(uint(t.session), pin)
	switch cryptoki.CodeOf(err) {
	case p11.CKR_OK:
		l.accepted = &digest
	case p11.CKR_USER_ALREADY_LOGGED_IN:
		return l.compare(pin) // the token did not check the PIN
	case p11.CKR_PIN_INCORRECT, p11.CKR_PIN_INVALID, p11.CKR_PIN_LEN_RANGE, p11.CKR_PIN_EXPIRED, p11.CKR_PIN_LOCKED:
		// A PIN typed on a keypad is unknown, and may be a different one next time.
		l.refused[digest] = pin != nil
	}
	if err != nil {
		return cryptoki.DriverError(err)
	}
	return nil
}

// compare compares a PIN with the one that is logged in. If the login was made outside
// this package, its PIN is unknown, and any PIN is accepted.
func (l *loginState) compare(pin []byte) error {
	digest := l.digest(pin)
	if l.accepted != nil && subtle.ConstantTimeCompare(l.accepted[:], digest[:]) == 0 {
		return cryptoki.Fault("C_Login", driver.Denied, errOtherPIN)
	}
	return nil
}

// A tokenSession is a session that is to log in.
type tokenSession struct {
	lib     *cryptoki.Library
	info    p11.TokenInfo
	session p11.SessionHandle
}

// wantsLogin reports whether the driver logs in. If a PIN is given and the token has one,
// it does so regardless of CKF_LOGIN_REQUIRED, because some tokens do not set that flag
// but need a login for private objects.
func wantsLogin(flags uint, pin []byte) bool {
	return flags&p11.CKF_LOGIN_REQUIRED != 0 || pin != nil && flags&p11.CKF_USER_PIN_INITIALIZED != 0
}

// addUser adds a user. The token must accept its PIN, by a login or by comparison with the
// PIN that is logged in. The first user determines whether the token checks a PIN.
func (t *token) addUser(ctx context.Context, pin *pin.Credential, noLogin bool) error {
	if err := t.lock.take(ctx); err != nil {
		return err
	}
	defer t.lock.give()
	value, err := pin.Read(ctx)
	if err != nil {
		return cryptoki.Fault("PIN", driver.Denied, err)
	}
	defer suite.Wipe(value)
	if len(t.users) == 0 {
		t.noLogin = noLogin
	}
	if err := t.authenticate(ctx, value); err != nil {
		return err
	}
	t.users = append(t.users, pin)
	return nil
}

func (t *token) authenticate(ctx context.Context, pin []byte) error {
	if len(t.users) == 0 || t.logins.accepted == nil || !t.loggedIn(ctx) {
		return t.attach(ctx, pin)
	}
	return t.logins.compare(pin)
}

// login attaches with the PIN of a user: the last one to join, or an earlier one if that
// PIN cannot be read.
func (t *token) login(ctx context.Context) error {
	var first error
	for _, user := range slices.Backward(t.users) {
		pin, err := user.Read(ctx)
		if err != nil {
			first = cmp.Or(first, err)
			continue
		}
		defer suite.Wipe(pin)
		return t.attach(ctx, pin)
	}
	return cryptoki.Fault("PIN", driver.Denied, first)
}

// removeUser removes a user and wipes its PIN. After the last user it ends the login.
func (t *token) removeUser(leaving *pin.Credential) error {
	t.lock <- struct{}{}
	defer t.lock.give()
	t.users = slices.DeleteFunc(t.users, func(user *pin.Credential) bool { return user == leaving })
	if len(t.users) == 0 {
		t.closeAnchor()
		t.down.Store(false)
		t.sentinel.Store(nil)
		t.logins.accepted = nil
	}
	return leaving.Close()
}

// closeAnchor closes the anchor session.
func (t *token) closeAnchor() {
	e := t.epoch.Swap(nil)
	if e == nil || t.mod.calls.enter(context.Background()) != nil {
		return
	}
	defer t.mod.calls.leave()
	if e.Generation == t.mod.generation.Load() {
		t.mod.Ctx.CloseSession(e.Anchor) // an error means that it is already closed
	}
}
