package rootfile

import (
	"fmt"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/redact"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/keyring"
)

// redacted, when embedded, keeps a type from printing its contents.
type redacted = redact.Secret

const labelMAC = "strongroom/rootmac"

// Keys are the two keys derived from the root: one seals the keyring, the other
// authenticates the root file. The root itself is not kept.
type Keys struct {
	redacted
	buf *lockedmem.Buffer
}

// NewKeys derives the keys from a root. It returns ErrUnlock for one that is not KeySize bytes
// long.
func NewKeys(a *lockedmem.Arena, id suite.ID, root []byte) (*Keys, error) {
	if len(root) != keyring.KeySize {
		return nil, fmt.Errorf("%w: the root has %d bytes, not %d", fault.ErrUnlock, len(root), keyring.KeySize)
	}
	buf, err := a.Alloc(2 * keyring.KeySize)
	if err != nil {
		return nil, err
	}
	b := buf.Bytes()
	id.KDF(b[:id.KeySize()], root, "strongroom/keyring", nil)
	id.KDF(b[keyring.KeySize:2*keyring.KeySize], root, labelMAC, nil)
	return &Keys{buf: buf}, nil
}

func (k *Keys) seal(id suite.ID) []byte { return k.buf.Bytes()[:id.KeySize()] }
func (k *Keys) mac() []byte             { return k.buf.Bytes()[keyring.KeySize : 2*keyring.KeySize] }

// Free wipes the keys.
func (k *Keys) Free() { k.buf.Free() }
