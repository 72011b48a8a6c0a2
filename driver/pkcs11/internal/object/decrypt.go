//go:build cgo && unix

package object

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"hash"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11/internal/cryptoki"
	"strongroom.example/internal/suite"
)

// BelowModulus reports whether a ciphertext has the length of the modulus and is less
// than it. Some tokens accept others.
func BelowModulus(ciphertext []byte, public *rsa.PublicKey) bool {
	n := public.N.FillBytes(make([]byte, public.Size()))
	return len(ciphertext) == len(n) && bytes.Compare(ciphertext, n) < 0
}

// A Decryption is one ciphertext, and a buffer of the same length for the plaintext.
type Decryption struct {
	Alg        driver.EncryptAlg
	Native     bool // the token supports alg itself
	Ciphertext []byte
	Out        []byte
}

// Decrypt decrypts into out and returns the length of the plaintext.
func (o *Object) Decrypt(s Session, x Decryption) (int, error) {
	a := cryptoki.Call{Op: cryptoki.OpDecrypt, Mechanism: p11.CKM_RSA_X_509, In: x.Ciphertext, Out: x.Out}
	if x.Native {
		a.Mechanism, a.Parameter = p11.CKM_RSA_PKCS_OAEP, oaepParameter(x.Alg)
		return o.operate(s, a)
	}
	n, err := o.operate(s, a)
	if err != nil {
		return 0, err
	}
	// A token may omit leading zeros.
	copy(x.Out[len(x.Out)-n:], x.Out[:n])
	clear(x.Out[:len(x.Out)-n])
	if x.Alg == driver.RSARaw {
		return len(x.Out), nil
	}
	message, err := unpadOAEP(x.Alg, x.Out)
	if err != nil {
		return 0, err
	}
	defer suite.Wipe(message)
	return copy(x.Out, message), nil
}

// oaepParameter returns the fields of CK_RSA_PKCS_OAEP_PARAMS without a label: hash, MGF,
// the source CKZ_DATA_SPECIFIED, and no data.
func oaepParameter(alg driver.EncryptAlg) []uint {
	if alg == driver.RSAOAEPSHA1 {
		return []uint{p11.CKM_SHA_1, p11.CKG_MGF1_SHA1, p11.CKZ_DATA_SPECIFIED, 0, 0}
	}
	return []uint{p11.CKM_SHA256, p11.CKG_MGF1_SHA256, p11.CKZ_DATA_SPECIFIED, 0, 0}
}

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
		return nil, cryptoki.Fault("C_Decrypt", driver.Authentic, cryptoki.ErrCiphertext)
	}
	seed, data := block[1:1+size], block[1+size:]
	mask(seed, data, h)
	mask(data, seed, h)
	good := subtle.ConstantTimeByteEq(block[0], 0) & subtle.ConstantTimeCompare(data[:size], empty)
	at, found := separator(data[size:])
	if good&found != 1 {
		return nil, cryptoki.Fault("C_Decrypt", driver.Authentic, cryptoki.ErrCiphertext)
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
