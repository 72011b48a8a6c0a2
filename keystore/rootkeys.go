package keystore

import (
	"fmt"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

const labelRootMAC = "strongroom/rootmac"

// rootKeys are the two keys derived from the root: one seals the keyring, the other
// authenticates the root file. The root itself is not kept.
type rootKeys struct {
	redacted
	buf *lockedmem.Buffer
}

func newRootKeys(a *lockedmem.Arena, id suite.ID, root []byte) (*rootKeys, error) {
	if len(root) != keySize {
		return nil, fmt.Errorf("%w: the root has %d bytes, not %d", ErrUnlock, len(root), keySize)
	}
	buf, err := a.Alloc(2 * keySize)
	if err != nil {
		return nil, err
	}
	b := buf.Bytes()
	id.KDF(b[:id.KeySize()], root, "strongroom/keyring", nil)
	id.KDF(b[keySize:2*keySize], root, labelRootMAC, nil)
	return &rootKeys{buf: buf}, nil
}

func (k *rootKeys) seal(id suite.ID) []byte { return k.buf.Bytes()[:id.KeySize()] }
func (k *rootKeys) mac() []byte             { return k.buf.Bytes()[keySize : 2*keySize] }
func (k *rootKeys) free()                   { k.buf.Free() }
