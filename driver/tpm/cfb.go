package tpm

import (
	"crypto/aes"
	"slices"

	"strongroom.example/internal/suite"
)

// sessionCFB encrypts or decrypts a session's parameter in place: AES-128-CFB with key and
// iv from the session's secret and both nonces, the newer first (Part 1, 21.3).
func sessionCFB(secret, newer, older, param []byte, encrypt bool) {
	var keyIV [32]byte
	defer suite.Wipe(keyIV[:])
	suite.AES.KDF(keyIV[:], secret, "CFB", slices.Concat(newer, older))
	cfb(keyIV[:16], keyIV[16:], param, encrypt)
}

// cfb is AES-CFB in place; iv is used up. Go's own is deprecated, and refused where
// FIPS 140 is enforced; here it is a protocol that the TPM fixes, inside an HMAC.
func cfb(key, iv, data []byte, encrypt bool) {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("tpm: AES refuses a key: " + err.Error())
	}
	for len(data) > 0 {
		block.Encrypt(iv, iv)
		n := min(len(data), aes.BlockSize)
		for i := range data[:n] {
			c := data[i] ^ iv[i]
			if encrypt {
				iv[i] = c
			} else {
				iv[i] = data[i]
			}
			data[i] = c
		}
		data = data[n:]
	}
}
