// Package vaultsecrets holds a vault's own keys in locked memory.
package vaultsecrets

import (
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/redact"
	"strongroom.example/keystore"
)

// Size is the length of each key in bytes.
const Size = 32

// LogLabel is the label of the seed of the key that signs checkpoints.
const LogLabel = "log key"

// labels are the labels of the keys, in the order of their memory. A key is derived from
// the store's secret by its label, so it never changes.
var labels = [...]string{"context", "hedge", LogLabel, "soft", "rejection", "import token", "commitment", "cursor"}

// Labels returns the labels of the keys in the store.
func Labels() []string { return labels[:] }

// Keys holds the keys. It prints redacted.
type Keys struct {
	redact.Secret
	buf *lockedmem.Buffer
}

// New derives the keys of the vault whose store is s. The caller frees them.
func New(a *lockedmem.Arena, s *keystore.Store) (*Keys, error) {
	buf, err := a.Alloc(len(labels) * Size)
	if err != nil {
		return nil, err
	}
	k := &Keys{buf: buf}
	for i, label := range labels {
		s.Secret(label, k.at(i))
	}
	return k, nil
}

func (k *Keys) at(i int) []byte { return k.buf.Bytes()[i*Size : (i+1)*Size] }

// ContextHash is the key that hashes encryption contexts for the audit log.
func (k *Keys) ContextHash() []byte { return k.at(0) }

// Entropy is the key that is mixed into every salt, id and data key.
func (k *Keys) Entropy() []byte { return k.at(1) }

// LogSeed is the seed of the key that signs checkpoints.
func (k *Keys) LogSeed() []byte { return k.at(2) }

// Soft is the key that wraps the blobs of the software engine.
func (k *Keys) Soft() []byte { return k.at(3) }

// Rejection is the key that derives the synthetic plaintexts for bad PKCS #1 v1.5 padding.
func (k *Keys) Rejection() []byte { return k.at(4) }

// ImportToken is the MAC key of import tokens.
func (k *Keys) ImportToken() []byte { return k.at(5) }

// Commitment is the MAC key of the fingerprints and check values that are kept of material.
func (k *Keys) Commitment() []byte { return k.at(6) }

// Cursor is the MAC key of page and resume tokens.
func (k *Keys) Cursor() []byte { return k.at(7) }

// Free wipes the keys.
func (k *Keys) Free() { k.buf.Free() }
