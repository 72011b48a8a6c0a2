package soft

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

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
func (c *RecoveryCode) key(kdfWork, []byte) ([]byte, error) {
	defer runtime.KeepAlive(c.secret)
	return slices.Clone(c.secret.bytes()), nil
}

// A code is 256 bits as 52 characters of Crockford's base 32, in 13 groups of 4
// characters and a check character. The 4 unused bits are zero.
const (
	codeSecret = 32
	codeGroups = 13
	groupData  = 4
	groupSize  = groupData + 1
	alphabet   = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// A MistypedError reports which group of a recovery code is mistyped. It does not hold
// the typed text.
type MistypedError struct {
	// Group counts from 1, as printed. It is 0 if the code has too many or too few
	// characters.
	Group int
}

// Error returns the number of the group.
func (e *MistypedError) Error() string {
	if e.Group == 0 {
		return fmt.Sprintf("a recovery code has %d groups of %d characters", codeGroups, groupSize)
	}
	return fmt.Sprintf("group %d of the recovery code is mistyped", e.Group)
}

var errSymbol = errors.New("not a character of a recovery code")

// symbolValue parses one character as an element of GF(32).
func symbolValue(c byte) (byte, error) {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	switch c {
	case 'O':
		c = '0'
	case 'I', 'L':
		c = '1'
	}
	if n := strings.IndexByte(alphabet, c); n >= 0 {
		return byte(n), nil
	}
	return 0, errSymbol
}

// double multiplies by x in GF(32), modulo x^5 + x^2 + 1.
func double(v byte) byte {
	v <<= 1
	return v ^ v>>5*0b100101
}

// checkSymbol returns the last symbol of a group. Each position has another weight, so
// that one wrong character and two swapped characters are always detected. The number of
// the group is included, so that swapped groups are detected too.
func checkSymbol(data []byte, group int) byte {
	sum := byte(group)
	for _, v := range data {
		sum = double(sum ^ v)
	}
	return sum
}

// appendGroups appends the code for a secret of codeSecret bytes.
func appendGroups(dst, secret []byte) []byte {
	symbols := toSymbols(secret)
	defer suite.Wipe(symbols)
	for g := range codeGroups {
		if g > 0 {
			dst = append(dst, '-')
		}
		data := symbols[g*groupData:][:groupData]
		for _, v := range data {
			dst = append(dst, alphabet[v])
		}
		dst = append(dst, alphabet[checkSymbol(data, g)])
	}
	return dst
}

// decodeGroups decodes a code as a person types it.
func decodeGroups(text []byte) ([]byte, error) {
	typed := suite.NewSecret(codeGroups * groupSize)[:0]
	defer func() { suite.Wipe(typed) }()
	for _, c := range text {
		if strings.IndexByte(" -\t\r\n", c) >= 0 {
			continue
		}
		if len(typed) == cap(typed) {
			return nil, &MistypedError{}
		}
		typed = append(typed, c)
	}
	if len(typed) != cap(typed) {
		return nil, &MistypedError{}
	}
	symbols := suite.NewSecret(codeGroups * groupData)[:0]
	defer func() { suite.Wipe(symbols) }()
	for g := range codeGroups {
		var ok bool
		if symbols, ok = appendSymbols(symbols, typed[g*groupSize:][:groupSize], g); !ok {
			return nil, &MistypedError{Group: g + 1}
		}
	}
	return fromSymbols(symbols)
}

// appendSymbols decodes one group.
func appendSymbols(dst, typed []byte, group int) ([]byte, bool) {
	start := len(dst)
	for _, c := range typed[:groupData] {
		v, err := symbolValue(c)
		if err != nil {
			return dst, false
		}
		dst = append(dst, v)
	}
	check, err := symbolValue(typed[groupData])
	return dst, err == nil && check == checkSymbol(dst[start:], group)
}

// toSymbols splits a secret into 5-bit symbols, the highest bits first.
func toSymbols(secret []byte) []byte {
	symbols := suite.NewSecret(codeGroups * groupData)[:0]
	var acc, bits uint
	for _, b := range secret {
		acc, bits = acc<<8|uint(b), bits+8
		for bits >= 5 {
			bits -= 5
			symbols = append(symbols, byte(acc>>bits)&31)
		}
		acc &= 1<<bits - 1
	}
	return append(symbols, byte(acc<<(5-bits))&31)
}

// fromSymbols is the inverse of toSymbols. The unused bits must be zero.
func fromSymbols(symbols []byte) ([]byte, error) {
	secret := suite.NewSecret(codeSecret)[:0]
	var acc, bits uint
	for _, v := range symbols {
		acc, bits = acc<<5|uint(v), bits+5
		if bits >= 8 {
			bits -= 8
			secret = append(secret, byte(acc>>bits))
		}
		acc &= 1<<bits - 1
	}
	if acc != 0 {
		suite.Wipe(secret)
		return nil, &MistypedError{Group: codeGroups}
	}
	return secret, nil
}
