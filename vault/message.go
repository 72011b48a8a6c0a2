package vault

import "strongroom.example/internal/ciphertext"

// message is a ciphertext with the encryption context that its reader gave. read fills
// in the rest.
type message struct {
	bytes     []byte
	context   EncryptionContext
	header    ciphertext.Header
	canonical []byte // of context
}

// read parses header and context.
func (m message) read() (message, error) {
	var err error
	if m.header, err = ciphertext.Parse(m.bytes); err != nil {
		return m, err
	}
	m.canonical, err = m.context.canonical()
	return m, err
}

// keyID returns the id of the CMK that it names.
func (m message) keyID() string { return formatKeyID(m.header.KeyID) }
