package pkcs11

import (
	"bytes"
	"context"
	"errors"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// A Protector wraps the root of a vault under a key that never leaves a token. It is
// of kind "pkcs11".
//
// The key is made by the first Protect, one for each vault, and stays in the token:
// whoever destroys it, or loses the token, closes this way in for good. Replacing
// the protector does not replace the key.
type Protector struct{ token driver.Driver }

var _ driver.Protector = (*Protector)(nil)

// NewProtector makes a protector of an open token, which [Open] returned and the
// caller closes. The token does HMAC with SHA-256, or RSA decryption with OAEP;
// where it does neither, Protect is Unsupported. So is the SM edition, for which no
// token has an approved algorithm under a standard name.
func NewProtector(token driver.Driver) *Protector { return &Protector{token} }

// Kind returns "pkcs11".
func (*Protector) Kind() string { return "pkcs11" }

// MachineBound returns true: a token can break, and its keys have no copy.
func (*Protector) MachineBound() bool { return true }

const (
	rootSize       = 32
	protectorLabel = "strongroom pkcs11 protector"
)

var (
	errRoot     = errors.New("blob does not open")
	errRootSize = errors.New("a root is 32 bytes long")
	errEdition  = errors.New("no token has an approved algorithm for this edition")
	errMethod   = errors.New("the token does neither HMAC with SHA-256 nor RSA-OAEP")
)

// Protect wraps root. See the format specification.
func (p *Protector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	const op = "Protect"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.Edition == driver.SM {
		return nil, fault(op, driver.Unsupported, errEdition)
	}
	if len(root) != rootSize {
		return nil, fault(op, driver.Invalid, errRootSize)
	}
	m, ok := methodFor(p.token.Info())
	if !ok {
		return nil, fault(op, driver.Unsupported, errMethod)
	}
	header, secret, err := m.begin(ctx, p.token, b)
	if err != nil {
		return nil, err
	}
	key := rootKey(secret, bound(header, b))
	defer suite.Wipe(key)
	blob, err := suite.AES.Seal(bytes.Clone(header), key, root, bound(header, b))
	if err != nil {
		return nil, fault(op, driver.Unknown, err)
	}
	return blob, nil
}

// Recover appends the root to dst. A token that lacks the vault's key is another
// token, or was initialised anew: Denied, with the cause driver.ErrWrongDevice.
func (p *Protector) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	const op = "Recover"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m, header, sealed, ok := parseBlob(blob)
	if !ok || b.Edition == driver.SM {
		return nil, fault(op, driver.Denied, errRoot)
	}
	secret, err := m.resume(ctx, p.token, b, header)
	switch {
	case errors.Is(err, driver.NotFound):
		return nil, fault(op, driver.Denied, driver.ErrWrongDevice)
	case errors.Is(err, driver.Authentic), errors.Is(err, driver.Unsupported):
		return nil, fault(op, driver.Denied, errRoot)
	case err != nil:
		return nil, err
	}
	key := rootKey(secret, bound(header, b))
	defer suite.Wipe(key)
	out, err := suite.AES.Open(dst, key, sealed, bound(header, b))
	if err != nil {
		return nil, fault(op, driver.Denied, errRoot)
	}
	return out, nil
}

// bound is header, vault id and edition: the associated data of a sealed root.
func bound(header []byte, b driver.Binding) []byte {
	return append(append(bytes.Clone(header), b.VaultID[:]...), byte(b.Edition))
}

// rootKey derives the sealing key and wipes the secret it came from.
func rootKey(secret, context []byte) []byte {
	defer suite.Wipe(secret)
	key := make([]byte, suite.AES.KeySize())
	suite.AES.KDF(key, secret, protectorLabel, context)
	return key
}
