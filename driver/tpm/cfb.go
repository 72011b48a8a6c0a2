package tpm

import "crypto/aes"

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
