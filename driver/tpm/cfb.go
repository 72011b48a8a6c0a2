package tpm

import "crypto/aes"

// cfb applies AES-CFB to data in place, and overwrites iv. Go's own implementation is
// deprecated, and is refused where FIPS 140 is enforced. The TPM fixes this mode in its
// protocol, under an HMAC.
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
