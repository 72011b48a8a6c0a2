package pkcs11

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/internal/suite"
)

// A Protector wraps the root of a vault under a key that never leaves a token. It is
// of kind "pkcs11".
//
// Each Protect makes a new key in the token, under a random id that the blob contains.
// Only Discard destroys the key, because copies of the vault's directory may need it. If
// the key is destroyed, or the token is lost, the root cannot be recovered from the blob.
type Protector struct{ token driver.Driver }

var (
	_ driver.Protector = (*Protector)(nil)
	_ driver.Discarder = (*Protector)(nil)
)

// newProtector returns a protector with an open token.
func newProtector(token driver.Driver) *Protector { return &Protector{token} }

// Kind returns "pkcs11".
func (*Protector) Kind() string { return "pkcs11" }

// MachineBound returns true, because a token can break and its keys have no copy.
func (*Protector) MachineBound() bool { return true }

const (
	rootSize       = 32
	protectorLabel = "strongroom pkcs11 protector"
	checkLabel     = "strongroom pkcs11 protector check"
)

var (
	errRoot     = errors.New("blob does not open")
	errOtherKey = errors.New("the token has another key under the id of the protector's key: somebody replaced it, or the blob was altered")
	errRootSize = errors.New("a root is 32 bytes long")
	errEdition  = errors.New("no token has an approved algorithm for this edition")
	errMethod   = errors.New("the token does neither HMAC with SHA-256 nor RSA-OAEP")
)

// Protect wraps root; docs/formats.md specifies the blob. If it fails, it destroys the
// key that it made.
func (p *Protector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	const op = "Protect"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if b.Edition == driver.SM {
		return nil, cryptoki.Fault(op, driver.Unsupported, errEdition)
	}
	if len(root) != rootSize {
		return nil, cryptoki.Fault(op, driver.Invalid, errRootSize)
	}
	m, ok := methodFor(p.token.Info())
	if !ok {
		return nil, cryptoki.Fault(op, driver.Unsupported, errMethod)
	}
	new := newBlob(m)
	created, err := p.token.GenerateKey(ctx, new.id, m.spec())
	if err != nil {
		return nil, err
	}
	out, err := p.protect(ctx, new, created, b, root)
	if err != nil {
		return nil, errors.Join(err, p.token.DestroyKey(context.WithoutCancel(ctx), new.id, nil))
	}
	return out, nil
}

// Discard destroys the key of a blob. A blob of format 1 is Invalid, because its key
// serves all blobs of its vault.
func (p *Protector) Discard(ctx context.Context, b driver.Binding, in driver.Blob) error {
	parsed, ok := parseBlob(in, b)
	if !ok || parsed.format == formatOne {
		return cryptoki.Fault("Discard", driver.Invalid, errRoot)
	}
	return p.token.DestroyKey(ctx, parsed.id, nil)
}

// protect wraps root under a new key.
func (p *Protector) protect(ctx context.Context, new blob, created driver.Created, b driver.Binding, root []byte) (driver.Blob, error) {
	secret, err := new.begin(ctx, p.token, b, created)
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(secret)
	out, err := new.seal(secret, b, root)
	if err != nil {
		return nil, cryptoki.Fault("Protect", driver.Unknown, err)
	}
	return out, nil
}

// Recover appends the root to dst. If the token has several keys under the id of the
// protector's key, it tries each. The caller wipes the result. Errors:
//
//   - Denied with the cause driver.ErrWrongDevice: the token lacks the key. It is
//     another token, was initialised again, or does not currently show all of its
//     objects.
//   - Denied with the cause driver.Unsupported: the token no longer supports the key's
//     algorithm.
//   - Denied: the blob belongs to another vault or was altered, or the key was replaced.
func (p *Protector) Recover(ctx context.Context, dst []byte, b driver.Binding, in driver.Blob) ([]byte, error) {
	const op = "Recover"
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	parsed, ok := parseBlob(in, b)
	if !ok || b.Edition == driver.SM {
		return nil, cryptoki.Fault(op, driver.Denied, errRoot)
	}
	keys, err := p.open(ctx, parsed)
	switch {
	case errors.Is(err, driver.NotFound):
		return nil, cryptoki.Fault(op, driver.Denied, driver.ErrWrongDevice)
	case errors.Is(err, driver.Unsupported):
		return nil, gone(op, parsed.method, err)
	case errors.Is(err, driver.Authentic): // the object has other roles
		return nil, cryptoki.Fault(op, driver.Denied, errOtherKey)
	case err != nil:
		return nil, err
	}
	defer func() {
		for _, key := range keys {
			key.Close()
		}
	}()
	return parsed.recoverByAny(ctx, dst, b, keys)
}

// recoverByAny appends the root that the first suitable key opens.
func (b blob) recoverByAny(ctx context.Context, dst []byte, to driver.Binding, keys []driver.Key) ([]byte, error) {
	const op = "Recover"
	refused := errRoot
	for _, key := range keys {
		secret, err := b.secret(ctx, key, to)
		var out []byte
		if err == nil {
			out, err = b.open(dst, secret, to)
			suite.Wipe(secret)
		}
		switch {
		case err == nil:
			return out, nil
		case err == errRoot, errors.Is(err, driver.Authentic): // from another key, or damaged
		case err == errOtherKey:
			refused = errOtherKey
		case errors.Is(err, driver.Unsupported):
			return nil, gone(op, b.method, err)
		default:
			return nil, err
		}
	}
	return nil, cryptoki.Fault(op, driver.Denied, refused)
}

// gone returns the error for a key whose algorithm the token no longer supports.
func gone(op string, m method, err error) error {
	return cryptoki.Fault(op, driver.Denied, fmt.Errorf("the token does not do %v any more, which the protector's key is for; another protector opens the vault: %w", m.spec(), err))
}

// A severalOpener can open every key under one id.
type severalOpener interface {
	openEach(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) ([]driver.Key, error)
}

// open opens the key of a blob, or all keys that the token has under its id.
func (p *Protector) open(ctx context.Context, b blob) ([]driver.Key, error) {
	if token, ok := p.token.(severalOpener); ok {
		return token.openEach(ctx, b.id, b.method.spec())
	}
	key, err := p.token.OpenKey(ctx, b.id, b.method.spec(), nil)
	if err != nil {
		return nil, err
	}
	return []driver.Key{key}, nil
}
