//go:build cgo && unix

package pkcs11

import (
	"bytes"
	"context"
	"crypto/rsa"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// A decryptKey is an RSA private key with usage Decrypt.
type decryptKey struct {
	*handle
	algs   []driver.EncryptAlg
	public *rsa.PublicKey
}

var _ driver.Decrypter = (*decryptKey)(nil)

// Decrypt appends the plaintext to dst. If the token does not support the OAEP variant,
// the driver removes the padding itself after raw RSA; the padded plaintext is then in
// the host's memory.
func (k *decryptKey) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	if !hasDeadline(ctx) {
		return k.decrypt(ctx, dst, alg, ciphertext)
	}
	in := slices.Clone(ciphertext)
	return boundedAppend(ctx, dst, func() ([]byte, error) { return k.decrypt(ctx, nil, alg, in) })
}

func (k *decryptKey) decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	const op = "Decrypt"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.algs, alg) {
		return nil, fault(op, driver.Unsupported, errAlgorithm)
	}
	if !belowModulus(ciphertext, k.public) {
		return nil, fault("C_Decrypt", driver.Authentic, errCiphertext)
	}
	return appendInto(dst, k.public.Size(), func(out []byte) (n int, err error) {
		err = k.driver.run(ctx, func(s session) (err error) {
			n, err = k.object.decrypt(s, decryption{alg, k.driver.able.native[alg], ciphertext, out})
			return err
		})
		return n, err
	})
}

// belowModulus reports whether a ciphertext has the length of the modulus and is less
// than it. Some tokens accept others.
func belowModulus(ciphertext []byte, public *rsa.PublicKey) bool {
	n := public.N.FillBytes(make([]byte, public.Size()))
	return len(ciphertext) == len(n) && bytes.Compare(ciphertext, n) < 0
}

// A decryption is one ciphertext, and a buffer of the same length for the plaintext.
type decryption struct {
	alg        driver.EncryptAlg
	native     bool // the token supports alg itself
	ciphertext []byte
	out        []byte
}

// decrypt decrypts into out and returns the length of the plaintext.
func (o *object) decrypt(s session, x decryption) (int, error) {
	a := call{op: opDecrypt, mechanism: p11.CKM_RSA_X_509, in: x.ciphertext, out: x.out}
	if x.native {
		a.mechanism, a.parameter = p11.CKM_RSA_PKCS_OAEP, oaepParameter(x.alg)
		return o.operate(s, a)
	}
	n, err := o.operate(s, a)
	if err != nil {
		return 0, err
	}
	// A token may omit leading zeros.
	copy(x.out[len(x.out)-n:], x.out[:n])
	clear(x.out[:len(x.out)-n])
	if x.alg == driver.RSARaw {
		return len(x.out), nil
	}
	message, err := unpadOAEP(x.alg, x.out)
	if err != nil {
		return 0, err
	}
	defer suite.Wipe(message)
	return copy(x.out, message), nil
}

// oaepParameter returns the fields of CK_RSA_PKCS_OAEP_PARAMS without a label: hash, MGF,
// the source CKZ_DATA_SPECIFIED, and no data.
func oaepParameter(alg driver.EncryptAlg) []uint {
	if alg == driver.RSAOAEPSHA1 {
		return []uint{p11.CKM_SHA_1, p11.CKG_MGF1_SHA1, p11.CKZ_DATA_SPECIFIED, 0, 0}
	}
	return []uint{p11.CKM_SHA256, p11.CKG_MGF1_SHA256, p11.CKZ_DATA_SPECIFIED, 0, 0}
}
