//go:build cgo && unix

package pkcs11

import (
	"context"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// A signKey is a private key with usage Sign.
type signKey struct {
	*handle
	algs []driver.SignAlg
	size int
}

var _ driver.Signer = (*signKey)(nil)

// Sign signs a digest or, with Ed25519, a message of at most 4096 bytes.
func (k *signKey) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	if !hasDeadline(ctx) {
		return k.sign(ctx, alg, input)
	}
	in := slices.Clone(input)
	return bounded(ctx, func() ([]byte, error) {
		defer suite.Wipe(in)
		return k.sign(ctx, alg, in)
	}, keep)
}

func (k *signKey) sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
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

// fitsInput reports whether input has a length that alg accepts.
func fitsInput(alg driver.SignAlg, input []byte) bool {
	if alg.TakesMessage() {
		return len(input) <= maxMessage
	}
	return len(input) == alg.DigestSize()
}

// signatureSize returns the length of a signature in the token's encoding.
func signatureSize(sh shape) int {
	switch sh.kind {
	case p11.CKK_RSA:
		return int(sh.size) / 8
	case p11.CKK_EC:
		return 2 * ((curveOf(sh.spec.Algorithm).Params().BitSize + 7) / 8)
	}
	return 64
}

const (
	maxPair       = 132 // r ‖ s of P-521
	maxDigestInfo = 19 + 64
)

// sign returns a signature in the encoding that driver.Signer requires.
func (o *object) sign(s session, alg driver.SignAlg, input []byte) ([]byte, error) {
	if o.shape.kind == p11.CKK_EC {
		var pair [maxPair]byte
		a := call{op: opSign, mechanism: p11.CKM_ECDSA, in: input, out: pair[:signatureSize(o.shape)]}
		if err := o.fill(s, a); err != nil {
			return nil, err
		}
		return pairDER(a.out), nil
	}
	var info [maxDigestInfo]byte
	signature := make([]byte, signatureSize(o.shape))
	a := call{op: opSign, in: input, out: signature}
	switch {
	case alg.IsPSS():
		a.mechanism, a.parameter = p11.CKM_RSA_PKCS_PSS, pssParameters(alg)
	case alg == driver.EdDSAEd25519:
		a.mechanism = ckmEdDSA
	default:
		a.mechanism, a.in = p11.CKM_RSA_PKCS, append(appendDigestInfo(info[:0], alg), input...)
	}
	if err := o.fill(s, a); err != nil {
		return nil, err
	}
	return signature, nil
}

// pssParameters returns the fields of CK_RSA_PKCS_PSS_PARAMS: hash, mask generation
// function and salt length.
func pssParameters(alg driver.SignAlg) []uint {
	switch alg {
	case driver.RSAPSSSHA384:
		return []uint{p11.CKM_SHA384, p11.CKG_MGF1_SHA384, 48}
	case driver.RSAPSSSHA512:
		return []uint{p11.CKM_SHA512, p11.CKG_MGF1_SHA512, 64}
	}
	return []uint{p11.CKM_SHA256, p11.CKG_MGF1_SHA256, 32}
}

// fill is operate for a result that must fill its buffer.
func (o *object) fill(s session, a call) error {
	n, err := o.operate(s, a)
	if err == nil && n != len(a.out) {
		return fault("C_Sign", driver.Unknown, errResult)
	}
	return err
}

// appendDigestInfo appends the DER prefix of a digest in PKCS #1 v1.5 (RFC 8017, section
// 9.2, note 1). The prefixes of the hashes differ in one byte of the identifier and in
// the lengths.
func appendDigestInfo(b []byte, alg driver.SignAlg) []byte {
	n, last := byte(alg.DigestSize()), byte(1)
	switch alg {
	case driver.RSAPKCS1SHA384:
		last = 2
	case driver.RSAPKCS1SHA512:
		last = 3
	}
	return append(b, 0x30, 0x11+n, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, last, 0x05, 0x00, 0x04, n)
}

// pairDER encodes r ‖ s as an ASN.1 SEQUENCE of two INTEGERs (RFC 3279, section 2.2.3).
// Signatures are shorter than 256 bytes on all curves here, so two length bytes are
// enough.
func pairDER(pair []byte) []byte {
	const head = 3
	half := len(pair) / 2
	der := make([]byte, head, head+len(pair)+6)
	der = appendInteger(appendInteger(der, pair[:half]), pair[half:])
	n := byte(len(der) - head)
	if n < 128 {
		der[1], der[2] = 0x30, n
		return der[1:]
	}
	der[0], der[1], der[2] = 0x30, 0x81, n
	return der
}

// appendInteger appends an ASN.1 INTEGER, given in big-endian bytes.
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
