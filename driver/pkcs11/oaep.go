//go:build cgo && unix

package pkcs11

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// unpadOAEP removes the padding from block, which is c^d mod n in full length (RFC 8017,
// section 7.1.2, step 3), without a label and with MGF1 of the same hash. It overwrites
// block. It inspects the whole padding before it decides, and returns the same error for
// every fault. The result is a copy, which the caller wipes.
func unpadOAEP(alg driver.EncryptAlg, block []byte) ([]byte, error) {
	newHash := sha256.New
	if alg == driver.RSAOAEPSHA1 {
		newHash = sha1.New
	}
	h := newHash()
	empty := h.Sum(nil)
	size := len(empty)
	if len(block) < 2*size+2 {
		return nil, fault("C_Decrypt", driver.Authentic, errCiphertext)
	}
	seed, data := block[1:1+size], block[1+size:]
	mask(seed, data, h)
	mask(data, seed, h)
	good := subtle.ConstantTimeByteEq(block[0], 0) & subtle.ConstantTimeCompare(data[:size], empty)
	at, found := separator(data[size:])
	if good&found != 1 {
		return nil, fault("C_Decrypt", driver.Authentic, errCiphertext)
	}
	return append([]byte(nil), data[size+at+1:]...), nil
}

// separator returns the index of the byte 1 that ends the zeros. found is 1 if it exists
// and only zeros precede it, otherwise 0.
func separator(padding []byte) (at, found int) {
	looking, bad := 1, 0
	for i, b := range padding {
		zero, one := subtle.ConstantTimeByteEq(b, 0), subtle.ConstantTimeByteEq(b, 1)
		at = subtle.ConstantTimeSelect(looking&one, i, at)
		bad |= looking & (zero ^ 1) & (one ^ 1)
		looking &= one ^ 1
	}
	return at, (looking ^ 1) & (bad ^ 1)
}

// mask XORs out with MGF1 of seed (RFC 8017, section B.2.1).
func mask(out, seed []byte, h hash.Hash) {
	var digest []byte
	var counter [4]byte
	for i := 0; len(out) > 0; i++ {
		binary.BigEndian.PutUint32(counter[:], uint32(i))
		h.Reset()
		h.Write(seed)
		h.Write(counter[:])
		digest = h.Sum(digest[:0])
		out = out[subtle.XORBytes(out, out, digest):]
	}
	suite.Wipe(digest)
	h.Reset()
}
