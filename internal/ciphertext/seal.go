package ciphertext

import (
	"crypto/subtle"

	"strongroom.example/internal/suite"
)

// Seal returns the ciphertext of plaintext under root, the 32-byte output of the CMK's
// PRF for h.PRFInput(context). context is canonical. The caller wipes root and plaintext.
// A plaintext longer than MaxPlaintext is ErrTooLarge.
func Seal(h Header, context, root, plaintext []byte) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, ErrTooLarge
	}
	if !h.valid() || !h.Suite.Usable() || len(root) != RootSize {
		return nil, ErrInvalid
	}
	both, key, commit := h.derive(context, root)
	defer suite.Wipe(both)
	ct := h.append(make([]byte, 0, Overhead+len(plaintext)))
	ct = append(ct, commit...)
	return h.Suite.Seal(ct, key, plaintext, ct)
}

// Open appends the plaintext of ct to dst. It first compares the commitment, in constant
// time. Every fault is ErrOpen, including a cipher suite that this process cannot use.
// The caller wipes root and the result.
func Open(dst, ct, context, root []byte) ([]byte, error) {
	h, err := Parse(ct)
	if err != nil || !h.Suite.Usable() || len(root) != RootSize {
		return nil, ErrOpen
	}
	both, key, commit := h.derive(context, root)
	defer suite.Wipe(both)
	head, sealed := ct[:HeaderSize+commitSize], ct[HeaderSize+commitSize:]
	if subtle.ConstantTimeCompare(commit, head[HeaderSize:]) != 1 {
		return nil, ErrOpen
	}
	plaintext, err := h.Suite.Open(dst, key, sealed, head)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}
