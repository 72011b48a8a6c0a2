package vault

import (
	"strongroom.example/internal/lockedmem"
	"strongroom.example/keystore"
)

// secretSize is the length of each of the vault's own keys.
const secretSize = 32

const labelLogKey = "log key"

// secretLabels are the labels of the vault's own keys, in the order of their memory. A key
// is derived from the store's secret by its label, so it never changes.
var secretLabels = [...]string{"context", "hedge", labelLogKey, "soft", "rejection", "import token", "commitment"}

// secrets holds the vault's own keys in locked memory.
type secrets struct {
	redacted
	buf *lockedmem.Buffer
}

func newSecrets(a *lockedmem.Arena, s *keystore.Store) (*secrets, error) {
	buf, err := a.Alloc(len(secretLabels) * secretSize)
	if err != nil {
		return nil, err
	}
	all := &secrets{buf: buf}
	for i, label := range secretLabels {
		s.Secret(label, all.at(i))
	}
	return all, nil
}

func (s *secrets) at(i int) []byte { return s.buf.Bytes()[i*secretSize : (i+1)*secretSize] }

// context is the key that hashes encryption contexts for the audit log.
func (s *secrets) context() []byte { return s.at(0) }

// hedge is the key that is mixed into every salt, id and data key.
func (s *secrets) hedge() []byte { return s.at(1) }

// log is the seed of the key that signs checkpoints.
func (s *secrets) log() []byte { return s.at(2) }

// soft is the key that wraps the blobs of the software engine.
func (s *secrets) soft() []byte { return s.at(3) }

// rejection is the key that derives the synthetic plaintexts for bad PKCS #1 v1.5 padding.
func (s *secrets) rejection() []byte { return s.at(4) }

// token is the MAC key of import tokens.
func (s *secrets) token() []byte { return s.at(5) }

// commitment is the MAC key of the marks and check values that are kept of material.
func (s *secrets) commitment() []byte { return s.at(6) }

func (s *secrets) free() { s.buf.Free() }
