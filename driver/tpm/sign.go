package tpm

import (
	"context"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"math/big"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/wire"
)

// A signKey is an open key of usage Sign.
type signKey struct {
	key
	area *tpm2.TPMTPublic
}

var _ driver.Signer = (*signKey)(nil)

// A scheme is a signature scheme of the TPM.
type scheme struct{ alg, hash tpm2.TPMAlgID }

func (d *Driver) schemeFor(alg driver.SignAlg) scheme {
	switch alg {
	case driver.RSAPKCS1SHA256:
		return scheme{tpm2.TPMAlgRSASSA, tpm2.TPMAlgSHA256}
	case driver.RSAPKCS1SHA384:
		return scheme{tpm2.TPMAlgRSASSA, tpm2.TPMAlgSHA384}
	case driver.RSAPKCS1SHA512:
		return scheme{tpm2.TPMAlgRSASSA, tpm2.TPMAlgSHA512}
	case driver.RSAPSSSHA256:
		return scheme{tpm2.TPMAlgRSAPSS, tpm2.TPMAlgSHA256}
	case driver.RSAPSSSHA384:
		return scheme{tpm2.TPMAlgRSAPSS, tpm2.TPMAlgSHA384}
	case driver.RSAPSSSHA512:
		return scheme{tpm2.TPMAlgRSAPSS, tpm2.TPMAlgSHA512}
	case driver.ECDSASHA384:
		return scheme{tpm2.TPMAlgECDSA, tpm2.TPMAlgSHA384}
	case driver.ECDSASHA512:
		return scheme{tpm2.TPMAlgECDSA, tpm2.TPMAlgSHA512}
	case driver.SM2DSA:
		return scheme{tpm2.TPMAlgSM2, d.about.sm2Hash}
	}
	return scheme{tpm2.TPMAlgECDSA, tpm2.TPMAlgSHA256}
}

// Sign signs a digest in one command.
func (k *signKey) Sign(ctx context.Context, alg driver.SignAlg, digest []byte) ([]byte, error) {
	const op = "TPM2_Sign"
	if err := k.enter(ctx, op); err != nil {
		return nil, err
	}
	defer k.leave()
	if !slices.Contains(k.kind.Row.Sign, alg) {
		return nil, fault(op, driver.Unsupported, errAlg)
	}
	if len(digest) != alg.DigestSize() {
		return nil, fault(op, driver.Invalid, errLength)
	}
	s := k.driver.schemeFor(alg)
	var signature []byte
	err := k.execute(ctx, op, s.command(digest), func(params []byte) (err error) {
		signature, err = s.signature(params)
		return err
	})
	if err == nil && alg.IsPSS() {
		err = k.checkSalt(op, alg, digest, signature)
	}
	if err != nil {
		return nil, err
	}
	return signature, nil
}

var errSalt = errors.New("this TPM makes PSS salts of another length than the hash")

// checkSalt verifies that a PSS signature has a salt as long as the hash, because some
// chips use the longest salt that fits.
func (k *signKey) checkSalt(op string, alg driver.SignAlg, digest, signature []byte) error {
	n, err := k.area.Unique.RSA()
	if err != nil {
		return fault(op, driver.Unknown, err)
	}
	public := &rsa.PublicKey{N: new(big.Int).SetBytes(n.Buffer), E: 65537}
	options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	if rsa.VerifyPSS(public, alg.Hash(), digest, signature, options) != nil {
		return fault(op, driver.Unsupported, errSalt)
	}
	return nil
}

// command returns TPM2_Sign without its handle. go-tpm does not marshal the SM2 scheme,
// so this package marshals all schemes itself.
func (s scheme) command(digest []byte) wire.Command {
	params := wire.AppendSized(make([]byte, 0, 96), digest)
	params = binary.BigEndian.AppendUint16(params, uint16(s.alg))
	params = binary.BigEndian.AppendUint16(params, uint16(s.hash))
	params = binary.BigEndian.AppendUint16(params, uint16(tpm2.TPMSTHashCheck))
	params = binary.BigEndian.AppendUint32(params, uint32(tpm2.TPMRHNull))
	return wire.Command{Code: tpm2.TPMCCSign, Params: wire.AppendSized(params, nil), EncryptIn: true}
}

// sign signs with a loaded key.
func (d *device) sign(e wire.Entity, auth, digest []byte, s scheme) ([]byte, error) {
	c := s.command(digest)
	c.Handles, c.Session, c.Auth = []wire.Entity{e}, d.session, auth
	rsp, err := d.execute(c)
	if err != nil {
		return nil, err
	}
	return s.signature(rsp.Params)
}

// signature returns the signature in a response: DER for curves, the bytes for RSA.
func (s scheme) signature(params []byte) ([]byte, error) {
	r := wire.Reader{Rest: params}
	got := scheme{tpm2.TPMAlgID(r.U16()), tpm2.TPMAlgID(r.U16())}
	first, second := r.Sized(), []byte(nil)
	rsa := s.alg == tpm2.TPMAlgRSASSA || s.alg == tpm2.TPMAlgRSAPSS
	if !rsa {
		second = r.Sized()
	}
	if r.Done() != nil || got != s {
		return nil, wire.ErrResponse
	}
	if rsa {
		return slices.Clone(first), nil
	}
	return signatureDER(first, second)
}

// signatureDER returns r and s as ASN.1 DER.
func signatureDER(r, s []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(new(big.Int).SetBytes(r))
		b.AddASN1BigInt(new(big.Int).SetBytes(s))
	})
	return b.Bytes()
}
