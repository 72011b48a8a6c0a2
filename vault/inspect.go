package vault

import "strongroom.example/internal/ciphertext"

// Ciphertext is what can be read off a ciphertext without a key. Nothing of it is
// authenticated.
type Ciphertext struct {
	// Key is the CMK's id, Version the number of its version.
	Key     string
	Version uint32
	// Suite names the algorithms: "AES_256_GCM_SHA_256" or "SM4_GCM_SM3".
	Suite string
}

// Inspect reads the header of a ciphertext. It does no I/O and needs no vault.
// What is no ciphertext is ErrCiphertext.
func Inspect(ct []byte) (Ciphertext, error) {
	h, err := ciphertext.Parse(ct)
	if err != nil {
		return Ciphertext{}, wrap("Inspect", "", err)
	}
	return Ciphertext{formatKeyID(h.KeyID), h.Version, h.Suite.String()}, nil
}
