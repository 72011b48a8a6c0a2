package vault

import "strongroom.example/internal/ciphertext"

// Ciphertext holds the fields that can be read from a ciphertext without a key. They are
// not authenticated.
type Ciphertext struct {
	// Key is the CMK's id, Version the number of the key version.
	Key     string
	Version uint32
	// Suite names the algorithms: "AES_256_GCM_SHA_256" or "SM4_GCM_SM3".
	Suite string
}

// Inspect parses the header of a ciphertext. It does no I/O and needs no vault. It returns
// ErrCiphertext if ct is not a ciphertext.
func Inspect(ct []byte) (Ciphertext, error) {
	h, err := ciphertext.Parse(ct)
	if err != nil {
		return Ciphertext{}, wrap("Inspect", "", err)
	}
	return Ciphertext{formatKeyID(h.KeyID), h.Version, h.Suite.String()}, nil
}
