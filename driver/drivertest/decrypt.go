package drivertest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/keyder"
	"strongroom.example/internal/sm2ciphertext"
)

// eachDecrypter runs a check on each decryption key and algorithm.
func eachDecrypter(t tb, s *subject, run func(driver.Decrypter, crypto.PublicKey, driver.EncryptAlg)) {
	t.Helper()
	for _, row := range s.rows(driver.Decrypt) {
		public, err := parsePublic(row.Spec.Algorithm, s.key(t, row).created.PublicDER)
		if err != nil {
			t.Errorf("%v: %v", row.Spec, err)
			continue
		}
		k := sharedKey[driver.Decrypter](t, s, row)
		for _, alg := range row.Decrypt {
			run(k, public, alg)
		}
		closeKey(t, k)
	}
}

func mustEncrypt(t tb, public crypto.PublicKey, alg driver.EncryptAlg) (plaintext, ciphertext []byte) {
	t.Helper()
	plaintext, ciphertext, err := encrypt(public, alg)
	if err != nil {
		t.Fatalf("%s: encrypting in the host: %v", alg, err)
	}
	return plaintext, ciphertext
}

// decryptRoundTrip decrypts ciphertexts made by the standard library, gmsm or math/big,
// of the shortest to the longest plaintext.
func decryptRoundTrip(t tb, s *subject) {
	eachDecrypter(t, s, func(k driver.Decrypter, public crypto.PublicKey, alg driver.EncryptAlg) {
		for _, size := range plaintextSizes(public, alg) {
			plaintext, ciphertext, err := encryptBytes(public, alg, size)
			if err != nil {
				t.Fatalf("%s: encrypting %d bytes in the host: %v", alg, size, err)
			}
			got, err := k.Decrypt(context.Background(), nil, alg, ciphertext)
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("%s: Decrypt did not return the plaintext of %d bytes: %v", alg, size, err)
			}
		}
	})
}

// decryptEveryFaultAuthentic checks that all wrong ciphertexts fail with the same class.
func decryptEveryFaultAuthentic(t tb, s *subject) {
	eachDecrypter(t, s, func(k driver.Decrypter, public crypto.PublicKey, alg driver.EncryptAlg) {
		_, good := mustEncrypt(t, public, alg)
		wrong := wrongCiphertexts(public, alg, good)
		if _, ok := public.(*rsa.PublicKey); ok {
			wrong["without its leading zero"] = leadingZero(t, public, alg)[1:]
		}
		for what, ciphertext := range wrong {
			out, err := k.Decrypt(context.Background(), nil, alg, ciphertext)
			wantClass(t, err, fmt.Sprintf("%s: %s", alg, what), driver.Authentic)
			if len(out) != 0 {
				t.Errorf("%s: Decrypt of %s returned output with its error", alg, what)
			}
		}
	})
}

// leadingZero returns a ciphertext that begins with a zero byte, as one in 256 does. It
// detects a driver that converts to a number and drops the zero.
func leadingZero(t tb, public crypto.PublicKey, alg driver.EncryptAlg) []byte {
	t.Helper()
	for {
		if _, ciphertext := mustEncrypt(t, public, alg); ciphertext[0] == 0 {
			return ciphertext
		}
	}
}

// wrongCiphertexts returns a ciphertext corrupted in many ways. For RSARaw only length
// and range can be wrong.
func wrongCiphertexts(public crypto.PublicKey, alg driver.EncryptAlg, good []byte) map[string][]byte {
	wrong := map[string][]byte{
		"nil":             nil,
		"empty":           {},
		"one byte":        {0},
		"the first half":  good[:len(good)/2],
		"a byte short":    good[:len(good)-1],
		"a byte too many": append(slices.Clone(good), 0),
		"a leading zero":  append([]byte{0}, good...),
	}
	if key, ok := public.(*rsa.PublicKey); ok {
		wrong["the modulus"] = key.N.FillBytes(make([]byte, key.Size()))
		wrong["all ones"] = slices.Repeat([]byte{0xff}, key.Size())
	}
	if alg == driver.RSARaw {
		return wrong
	}
	wrong["zeros"] = make([]byte, len(good))
	for _, i := range positions(len(good), 48) {
		wrong[fmt.Sprintf("byte %d flipped", i)] = flipped(good, i)
	}
	return wrong
}

func decryptUnlistedAlgorithm(t tb, s *subject) {
	algs := []driver.EncryptAlg{"", "RSAES_PKCS1_V1_5", driver.RSARaw, driver.RSAOAEPSHA1, driver.RSAOAEPSHA256, driver.SM2ASN1}
	for _, row := range s.rows(driver.Decrypt) {
		k := sharedKey[driver.Decrypter](t, s, row)
		for _, alg := range algs {
			if slices.Contains(row.Decrypt, alg) {
				continue
			}
			_, err := k.Decrypt(context.Background(), nil, alg, make([]byte, 256))
			wantClass(t, err, fmt.Sprintf("%v: unlisted %q", row.Spec, alg), driver.Unsupported)
		}
		closeKey(t, k)
	}
}

// publicDERMatches checks that a public key is present exactly for asymmetric specs, that
// it is of the algorithm, and that it has the encoding that all drivers use, because a
// vault compares encodings when it moves a key. The checks of signatures and decryption
// show that it belongs to the private key.
func publicDERMatches(t tb, s *subject) {
	for _, row := range s.generated() {
		der := s.key(t, row).created.PublicDER
		if row.Spec.Algorithm.Symmetric() {
			if len(der) != 0 {
				t.Errorf("%v: a symmetric key has a PublicDER", row.Spec)
			}
			continue
		}
		public, err := parsePublic(row.Spec.Algorithm, der)
		if err != nil {
			t.Errorf("%v: %v", row.Spec, err)
			continue
		}
		if again, err := keyder.MarshalPublic(public); err != nil || !bytes.Equal(again, der) {
			t.Errorf("%v: PublicDER is %x, want the encoding %x (%v)", row.Spec, der, again, err)
		}
	}
}

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
	der, c := fullLength(t, key)
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

// fullLength returns a ciphertext, in DER and parsed, whose x and y both have 32 bytes.
func fullLength(t tb, key *ecdsa.PublicKey) (der []byte, c sm2Ciphertext) {
	t.Helper()
	for len(der) == 0 || c.X.BitLen() <= 248 || c.Y.BitLen() <= 248 {
		var err error
		if der, err = sm2ciphertext.Encrypt(key, []byte("text")); err != nil {
			t.Fatalf("encrypting in the host: %v", err)
		}
		if _, err := asn1.Unmarshal(der, &c); err != nil {
			t.Fatalf("encoding/asn1 does not parse gmsm's ciphertext: %v", err)
		}
	}
	return der, c
}
