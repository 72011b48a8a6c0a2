package drivertest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"encoding/asn1"
	"math/big"
	"slices"

	"strongroom.example/driver"
)

// decryptOtherFormAuthentic checks that a driver decrypts SM2 ciphertexts in the form of
// SM2ASN1 only. A ciphertext that one driver opens and another rejects would be lost when
// its key moves.
func decryptOtherFormAuthentic(t tb, s *subject) {
	eachDecrypter(t, s, func(k driver.Decrypter, public crypto.PublicKey, alg driver.EncryptAlg) {
		key, ok := public.(*ecdsa.PublicKey)
		if !ok {
			return
		}
		for what, ciphertext := range otherForms(t, key) {
			out, err := k.Decrypt(context.Background(), nil, alg, ciphertext)
			wantClass(t, err, string(alg)+": "+what, driver.Authentic)
			if len(out) != 0 {
				t.Errorf("%s: Decrypt of %s returned output with its error", alg, what)
			}
		}
	})
}

// An sm2Ciphertext is the SEQUENCE of GM/T 0009.
type sm2Ciphertext struct {
	X, Y *big.Int
	Hash []byte
	Body []byte
}

// parts lists the parts of a ciphertext.
func parts(c sm2Ciphertext) []any { return []any{c.X, c.Y, c.Hash, c.Body} }

// otherForms returns ciphertexts with correct content in another form. Their sizes are
// such that the SEQUENCE has one length byte.
func otherForms(t tb, key *ecdsa.PublicKey) map[string][]byte {
	t.Helper()
	var c sm2Ciphertext
	var der []byte
	for len(der) == 0 || c.X.BitLen() <= 248 || c.Y.BitLen() <= 248 {
		var err error
		if der, err = EncryptSM2(key, []byte("text")); err != nil {
			t.Fatalf("encrypting in the host: %v", err)
		}
		if _, err := asn1.Unmarshal(der, &c); err != nil {
			t.Fatalf("encoding/asn1 does not parse gmsm's ciphertext: %v", err)
		}
	}
	x, y := c.X.FillBytes(make([]byte, 32)), c.Y.FillBytes(make([]byte, 32))
	sign := byte(c.Y.Bit(0))
	encode := func(content any) []byte {
		out, err := asn1.Marshal(content)
		if err != nil {
			t.Fatalf("encoding a ciphertext: %v", err)
		}
		return out
	}
	wider := func(n *big.Int) *big.Int { return new(big.Int).Add(n, key.Params().P) }
	body := der[2:]
	return map[string][]byte{
		"raw C1 C3 C2":                slices.Concat([]byte{4}, x, y, c.Hash, c.Body),
		"raw C1 C2 C3":                slices.Concat([]byte{4}, x, y, c.Body, c.Hash),
		"raw, without the first byte": slices.Concat(x, y, c.Hash, c.Body),
		"raw, compressed":             slices.Concat([]byte{2 | sign}, x, c.Hash, c.Body),
		"raw, hybrid":                 slices.Concat([]byte{6 | sign}, x, y, c.Hash, c.Body),
		"C1 C2 C3":                    encode(sm2Ciphertext{c.X, c.Y, c.Body, c.Hash}),
		"a part too many":             encode(append(parts(c), 1)),
		"x beyond the field":          encode(sm2Ciphertext{wider(c.X), c.Y, c.Hash, c.Body}),
		"y beyond the field":          encode(sm2Ciphertext{c.X, wider(c.Y), c.Hash, c.Body}),
		"x negative":                  encode(sm2Ciphertext{new(big.Int).Neg(c.X), c.Y, c.Hash, c.Body}),
		"no text":                     encode(sm2Ciphertext{c.X, c.Y, c.Hash, nil}),
		"a long form of a length":     slices.Concat([]byte{0x30, 0x81, der[1]}, body),
		"an indefinite length":        slices.Concat([]byte{0x30, 0x80}, body, []byte{0, 0}),
		"a zero in front of x":        slices.Concat([]byte{0x30, der[1] + 1, 2, der[3] + 1, 0}, der[4:]),
		"another tag":                 slices.Concat([]byte{0x31}, der[1:]),
	}
}
