//go:build cgo && unix

package pkcs11

import (
	"context"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
)

// A signKey is a private key of usage Sign.
type signKey struct {
	*handle
	algs []driver.SignAlg
	size int
}

var _ driver.Signer = (*signKey)(nil)

// Sign signs a digest or, with Ed25519, a message.
func (k *signKey) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	const op = "Sign"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.algs, alg) {
		return nil, fault(op, driver.Unsupported, errAlgorithm)
	}
	if !fitsInput(alg, input) {
		return nil, fault(op, driver.Invalid, errLength)
	}
	var signature []byte
	err := k.driver.run(ctx, func(s session) (err error) {
		signature, err = k.object.sign(s, alg, input)
		return err
	})
	return signature, err
}

// fitsInput reports whether input is as long as alg wants it.
func fitsInput(alg driver.SignAlg, input []byte) bool {
	if alg.TakesMessage() {
		return len(input) <= maxMessage
	}
	return len(input) == alg.DigestSize()
}

// signatureSize is how long the token's own form of a signature is.
func signatureSize(sh shape) int {
	switch sh.kind {
	case p11.CKK_RSA:
		return int(sh.size) / 8
	case p11.CKK_EC:
		return 2 * ((curveOf(sh.spec.Algorithm).Params().BitSize + 7) / 8)
	}
	return 64
}

// sign returns a signature in the form that the seam wants.
func (o *object) sign(s session, alg driver.SignAlg, input []byte) ([]byte, error) {
	a := call{op: opSign, in: input, out: make([]byte, signatureSize(o.shape))}
	switch alg {
	case driver.RSAPSSSHA256:
		a.mechanism, a.parameter = p11.CKM_RSA_PKCS_PSS, []uint{p11.CKM_SHA256, p11.CKG_MGF1_SHA256, 32}
	case driver.EdDSAEd25519:
		a.mechanism = ckmEdDSA
	case driver.ECDSASHA256, driver.ECDSASHA384, driver.ECDSASHA512:
		a.mechanism = p11.CKM_ECDSA
	default:
		a.mechanism, a.in = p11.CKM_RSA_PKCS, slices.Concat(digestInfo(alg), input)
	}
	n, err := o.operate(s, a)
	if err != nil {
		return nil, err
	}
	if n != len(a.out) {
		return nil, fault("C_Sign", driver.Unknown, errResult)
	}
	if o.shape.kind == p11.CKK_EC {
		return pairDER(a.out), nil
	}
	return a.out, nil
}

// digestInfo is what goes before a digest in PKCS #1 v1.5 (RFC 8017, 9.2, note 1).
func digestInfo(alg driver.SignAlg) []byte {
	// The hashes' identifiers differ in one byte, and the lengths follow the digest.
	last := map[driver.SignAlg]byte{driver.RSAPKCS1SHA256: 1, driver.RSAPKCS1SHA384: 2, driver.RSAPKCS1SHA512: 3}[alg]
	n := byte(alg.DigestSize())
	return []byte{0x30, 0x11 + n, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last, 0x05, 0x00, 0x04, n}
}

// pairDER makes ASN.1 of r ‖ s: a SEQUENCE of two INTEGERs (RFC 3279, 2.2.3). No
// curve here has signatures of 256 bytes, so that two length bytes are the most.
func pairDER(pair []byte) []byte {
	half := len(pair) / 2
	body := appendInteger(appendInteger(make([]byte, 0, len(pair)+8), pair[:half]), pair[half:])
	if len(body) < 128 {
		return append([]byte{0x30, byte(len(body))}, body...)
	}
	return append([]byte{0x30, 0x81, byte(len(body))}, body...)
}

// appendInteger appends the INTEGER of a number in big-endian bytes.
func appendInteger(der, number []byte) []byte {
	for len(number) > 1 && number[0] == 0 {
		number = number[1:]
	}
	if number[0]&0x80 != 0 {
		der = append(der, 2, byte(len(number)+1), 0)
	} else {
		der = append(der, 2, byte(len(number)))
	}
	return append(der, number...)
}
