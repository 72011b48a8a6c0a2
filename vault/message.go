package vault

import "strongroom.example/internal/ciphertext"

// message is a ciphertext with the encryption context that the caller gave.
type message struct {
	bytes   []byte
	context boundContext
	header  ciphertext.Header
}

// readMessage parses the header and copies the context. bytes must not change while the
// message is in use.
func readMessage(bytes []byte, ec EncryptionContext) (m message, err error) {
	m.bytes = bytes
	if m.header, err = ciphertext.Parse(bytes); err != nil {
		return m, err
	}
	m.context, err = ec.snapshot()
	return m, err
}

// keyID returns the id of the CMK that the message names.
func (m message) keyID() string { return formatKeyID(m.header.KeyID) }
