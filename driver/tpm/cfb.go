package tpm

import (
	"crypto/aes"
	"slices"

	"strongroom.example/internal/suite"
)

// cfb encrypts or decrypts a session's parameter in place: AES-128-CFB with key and iv
// from the session's secret and both nonces, the newer first (Part 1, 21.3). Go's own
// CFB is deprecated, and refused where FIPS 140 is enforced; here it is a protocol
// that the TPM fixes, inside an HMAC.
func cfb(secret, newer, older, param []byte, encrypt bool) {
	var keyIV [32]byte
	defer suite.Wipe(keyIV[:])
	suite.AES.KDF(keyIV[:], secret, "CFB", slices.Concat(newer, older))
	block, err := aes.NewCipher(keyIV[:16])
	if err != nil {
		panic("tpm: AES refuses a key of 16 bytes: " + err.Error())
	}
	iv := keyIV[16:]
	for len(param) > 0 {
		block.Encrypt(iv, iv)
		n := min(len(param), aes.BlockSize)
		for i := range param[:n] {
			c := param[i] ^ iv[i]
			if encrypt {
				iv[i] = c
			} else {
				iv[i] = param[i]
			}
			param[i] = c
		}
		param = param[n:]
	}
}
