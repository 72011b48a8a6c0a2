package vault

import (
	"fmt"
	"maps"
	"unicode/utf8"

	"strongroom.example/internal/ciphertext"
)

// EncryptionContext is a set of name-value pairs to which a ciphertext is bound: Decrypt
// needs the same pairs, in any order. It is authenticated, not secret. Names and values are
// UTF-8 and no name is empty (otherwise ErrInvalid). The total length, with 4 bytes added
// for each pair and 2 for the whole, is at most 8 KiB (otherwise ErrTooLarge). nil and an
// empty context are equivalent.
type EncryptionContext map[string]string

// maxPairs is an upper bound of the number of pairs, because each pair takes at least five
// bytes.
const maxPairs = ciphertext.MaxContext / 5

// boundContext is a copy of an encryption context, made at the beginning of the operation.
// The vault authorizes, records and authenticates this copy; the caller's map may change
// afterwards.
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

// fault returns the reason why the context is invalid.
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
