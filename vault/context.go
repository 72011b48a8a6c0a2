package vault

import (
	"fmt"
	"unicode/utf8"

	"strongroom.example/internal/ciphertext"
)

// EncryptionContext is what a ciphertext is bound to: Decrypt must be given the
// same pairs, in any order. It is authenticated, not secret. Names and values are UTF-8,
// and no name is empty (else ErrInvalid); with 4 bytes for each pair, and 2, they are at
// most 8 KiB (else ErrTooLarge). nil and empty are the same.
type EncryptionContext map[string]string

// canonical writes the context in its one form, or tells what is wrong with it.
func (ec EncryptionContext) canonical() ([]byte, error) {
	b, err := ciphertext.CanonicalContext(ec)
	if err != nil {
		return nil, ec.fault()
	}
	return b, nil
}

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
	return fmt.Errorf("%w: the encryption context has more than %d bytes, 4 for each pair and 2 included", ErrTooLarge, ciphertext.MaxContext)
}
