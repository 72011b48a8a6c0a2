//go:build cgo && unix

package pkcs11

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// A credential is the PIN of one user of a token. A PIN that can be read only once is
// kept in locked memory.
type credential struct {
	source PIN
	arena  *lockedmem.Arena
	kept   *lockedmem.Buffer
}

// newCredential reads a PIN from a descriptor at once. The caller must have found the
// token first, because a descriptor can be read only once.
func newCredential(ctx context.Context, source PIN) (*credential, error) {
	c := &credential{source: source}
	if source.FD == 0 {
		return c, nil
	}
	pin, err := source.read(ctx)
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(pin)
	c.arena = lockedmem.New(0)
	if c.kept, err = c.arena.Alloc(len(pin)); err != nil {
		return nil, errors.Join(err, c.arena.Close())
	}
	copy(c.kept.Bytes(), pin)
	return c, nil
}

// read returns the PIN, or nil if there is no source. The caller wipes it.
func (c *credential) read(ctx context.Context) ([]byte, error) {
	switch {
	case c.kept != nil:
		return append([]byte(nil), c.kept.Bytes()...), nil
	case c.source.sources() == 0:
		return nil, nil
	}
	return c.source.read(ctx)
}

// close wipes the PIN if it was kept.
func (c *credential) close() error {
	if c.arena == nil {
		return nil
	}
	c.kept.Free()
	return c.arena.Close()
}

// A latch remembers PINs as keyed hashes: the one that the token accepted, and those that
// it refused, so that no wrong PIN is tried twice.
type latch struct {
	key     [32]byte
	good    *[32]byte
	refused map[[32]byte]bool
}

func newLatch() *latch {
	l := &latch{refused: make(map[[32]byte]bool)}
	rand.Read(l.key[:])
	return l
}

func (l *latch) digest(pin []byte) [32]byte { return suite.AES.MAC(l.key[:], pin) }

var (
	errRefusedBefore = errors.New("the token refused this PIN before; it is not tried again in this process, so that the token is not locked")
	errOtherPIN      = errors.New("the token is in use in this process with another PIN")
	errFinalTry      = errors.New("the token says that one more wrong PIN locks it: log in with its own tool first, which resets the count")
	errLocked        = errors.New("the token's user PIN is locked: its security officer can set it anew")
	errNotSet        = errors.New("the token has no user PIN yet: initialise it with its own tool")
	errNoSource      = errors.New("the token wants a login, and no PIN is configured")
)

// mayTry returns an error if a login must not be attempted, given the token's flags and
// the refused PINs.
func (l *latch) mayTry(flags uint, pin []byte) error {
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
func (l *latch) login(t tokenSession, pin []byte) error {
	if err := l.mayTry(t.info.Flags, pin); err != nil {
		return fault("C_Login", driver.Denied, err)
	}
	if n := uint(len(pin)); pin != nil && (n < t.info.MinPinLen || t.info.MaxPinLen != 0 && n > t.info.MaxPinLen) {
		return fault("C_Login", driver.Denied, fmt.Errorf("the token's PIN has %d to %d bytes", t.info.MinPinLen, t.info.MaxPinLen))
	}
	digest := l.digest(pin)
	err := t.mod.login(uint(t.session), pin)
	switch codeOf(err) {
	case p11.CKR_OK:
		l.good = &digest
	case p11.CKR_USER_ALREADY_LOGGED_IN:
		return l.compare(pin) // the token did not check the PIN
	case p11.CKR_PIN_INCORRECT, p11.CKR_PIN_INVALID, p11.CKR_PIN_LEN_RANGE, p11.CKR_PIN_EXPIRED, p11.CKR_PIN_LOCKED:
		// A PIN typed on a keypad is unknown, and may be a different one next time.
		l.refused[digest] = pin != nil
	}
	if err != nil {
		return failed(err)
	}
	return nil
}

// compare compares a PIN with the one that is logged in. If the login was made outside
// this package, its PIN is unknown, and any PIN is accepted.
func (l *latch) compare(pin []byte) error {
	digest := l.digest(pin)
	if l.good != nil && subtle.ConstantTimeCompare(l.good[:], digest[:]) == 0 {
		return fault("C_Login", driver.Denied, errOtherPIN)
	}
	return nil
}
