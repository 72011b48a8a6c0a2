package soft

import (
	"context"
	"crypto/rand"
	"errors"
	"runtime"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// A RecoveryCode is a protector of kind "recovery-code": 256 random bits that a person
// writes down.
type RecoveryCode struct {
	redacted
	secret *keptSecret
}

var _ driver.Protector = (*RecoveryCode)(nil)

// NewRecoveryCode returns a fresh code. The caller prints it once with AppendCode,
// protects the vault with it, and then calls Wipe.
func NewRecoveryCode() (*RecoveryCode, error) {
	return &RecoveryCode{secret: keepSecret(codeSecret, func(b []byte) { rand.Read(b) })}, nil
}

// ParseRecoveryCode parses a code as a person types it: in upper or lower case, with or
// without spaces and hyphens, with O for 0 and I or L for 1. A mistyped code is Denied
// and wraps a *MistypedError. The caller wipes text.
func ParseRecoveryCode(text []byte) (*RecoveryCode, error) {
	secret, err := decodeGroups(text)
	if err != nil {
		return nil, fault("ParseRecoveryCode", driver.Denied, err)
	}
	defer suite.Wipe(secret)
	return &RecoveryCode{secret: keepSecret(len(secret), func(b []byte) { copy(b, secret) })}, nil
}

// AppendCode appends the code to dst: 13 groups of 5 characters with hyphens between
// them, 77 bytes. It is the secret itself; the caller wipes it.
func (c *RecoveryCode) AppendCode(dst []byte) []byte {
	defer runtime.KeepAlive(c.secret)
	return appendGroups(dst, c.secret.bytes())
}

// Wipe zeroes the code. Protect and Recover then fail with Invalid. Wipe must not be
// called while another call runs.
func (c *RecoveryCode) Wipe() {
	c.secret.wipe()
	c.secret = nil
}

// Kind returns "recovery-code".
func (*RecoveryCode) Kind() string { return "recovery-code" }

// MachineBound returns false.
func (*RecoveryCode) MachineBound() bool { return false }

var errWiped = errors.New("the recovery code was wiped")

// Protect wraps root under the code.
func (c *RecoveryCode) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	if err := c.ready(ctx, "Protect"); err != nil {
		return nil, err
	}
	return protect(shape{kind: kindRecoveryCode}, b, c.key, root)
}

// Recover appends the root to dst.
func (c *RecoveryCode) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	if err := c.ready(ctx, "Recover"); err != nil {
		return nil, err
	}
	return recoverRoot(dst, sealedRoot{kindRecoveryCode, b, blob}, c.key)
}

func (c *RecoveryCode) ready(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(c.secret.bytes()) != codeSecret {
		return fault(op, driver.Invalid, errWiped)
	}
	return nil
}

// key returns the secret without stretching, because it is as strong as the key.
func (c *RecoveryCode) key(work, []byte) ([]byte, error) {
	defer runtime.KeepAlive(c.secret)
	return slices.Clone(c.secret.bytes()), nil
}
