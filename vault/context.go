package vault

import (
	"fmt"
	"maps"
	"unicode/utf8"

	"strongroom.example/internal/ciphertext"
)

// EncryptionContext is what a ciphertext is bound to: Decrypt must be given the
// same pairs, in any order. It is authenticated, not secret. Names and values are UTF-8,
// and no name is empty (else ErrInvalid); with 4 bytes for each pair, and 2, they are at
// most 8 KiB (else ErrTooLarge). nil and empty are the same.
type EncryptionContext map[string]string

// maxPairs is more pairs than any valid context has: each takes five bytes at least.
const maxPairs = ciphertext.MaxContext / 5

// boundContext is an encryption context as it was when the operation began. The caller's
// map may change afterwards; what is authorized, recorded and authenticated is this one.
type boundContext struct {
	pairs     EncryptionContext
	canonical []byte
}

// snapshot copies the context, or returns what is wrong with it.
func (ec EncryptionContext) snapshot() (boundContext, error) {
	if len(ec) > maxPairs {
		return boundContext{}, errContextTooLarge
	}
	own := maps.Clone(ec)
	canonical, err := ciphertext.CanonicalContext(own)
	if err != nil {
		return boundContext{}, own.fault()
	}
	return boundContext{own, canonical}, nil
}

var errContextTooLarge = fmt.Errorf("%w: the encryption context has more than %d bytes, 4 for each pair and 2 included", ErrTooLarge, ciphertext.MaxContext)

// fault says why no ciphertext can be bound to the context.
func (ec EncryptionContext) fault() error {
	for name, value := range ec {
		if name == "" {
			return invalid("the encryption context has a pair without a name")
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return invalid("the encryption context is not UTF-8")
		}
	}
	return errContextTooLarge
}
