package drivertest

import (
	"crypto/aes"
	"encoding/binary"
)

// kwp is AES key wrap with padding (RFC 5649), the host's part of RSA_AES_KEY_WRAP.
func kwp(key, material []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	padded := (len(material) + 7) / 8 * 8
	out := make([]byte, 8+padded)
	binary.BigEndian.PutUint32(out, 0xA65959A6)
	binary.BigEndian.PutUint32(out[4:], uint32(len(material)))
	copy(out[8:], material)
	if padded == 8 {
		block.Encrypt(out, out)
		return out, nil
	}
	var work [16]byte
	copy(work[:8], out)
	step := uint64(0)
	for range 6 {
		for at := 8; at < len(out); at += 8 {
			step++
			copy(work[8:], out[at:])
			block.Encrypt(work[:], work[:])
			binary.BigEndian.PutUint64(work[:], binary.BigEndian.Uint64(work[:])^step)
			copy(out[at:at+8], work[8:])
		}
	}
	copy(out, work[:8])
	return out, nil
}
