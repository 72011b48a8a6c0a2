package driver

import "encoding/hex"

// A MaterialID names one piece of key material: 16 fresh random bytes for each key
// version and for each attempt to import or move one. On a token it is CKA_ID. An id is
// never reused, because some tokens silently replace a key when an id repeats. It is
// never a part of a ciphertext.
type MaterialID [16]byte

// String returns the id in hexadecimal.
func (id MaterialID) String() string { return hex.EncodeToString(id[:]) }

// A Blob is the data that the vault must store for a key on behalf of the driver: wrapped
// key bytes, the public and private areas of a TPM key, or nothing for an object in a
// token. It is opaque to the vault, does not disclose the material, and is at most 16
// KiB.
type Blob []byte

// Created is the result of generating or importing material.
type Created struct {
	// Blob is to be passed to OpenKey and DestroyKey. It is empty for an object in the
	// device.
	Blob Blob
	// PublicDER is the public key as X.509 SubjectPublicKeyInfo (RFC 5280), for
	// asymmetric specs. The vault stores it, because some devices cannot return it later.
	PublicDER []byte
	// Attributes are properties of the material as read back from the device, for display
	// and for the audit log ("extractable": "false"). They are never secret.
	Attributes map[string]string
}
