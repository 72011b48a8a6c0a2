package driver

import "encoding/hex"

// A MaterialID names one piece of key material: 16 fresh random bytes for each
// key version and for each attempt to import or move one. It is CKA_ID on a
// token. It is never used twice, since some tokens silently replace a key when an
// id repeats, and never part of a ciphertext.
type MaterialID [16]byte

// String returns the id in hexadecimal.
func (id MaterialID) String() string { return hex.EncodeToString(id[:]) }

// A Blob is what a driver wants kept for a key, opaque to everyone else: wrapped
// bytes, TPM public and private areas, or nothing for an object in a token. It
// hides the material, and is at most 16 KiB.
type Blob []byte

// Created is what making or importing material gives.
type Created struct {
	// Blob must be given back to OpenKey and DestroyKey. Empty for objects that
	// live in the device.
	Blob Blob
	// PublicDER is the public half as X.509 SubjectPublicKeyInfo, for asymmetric
	// specs; the vault keeps it, since not every device can tell it later.
	PublicDER []byte
	// Attributes are facts about the material as read back from the device, for
	// people and for the audit ("extractable": "false"). Never secret.
	Attributes map[string]string
}
