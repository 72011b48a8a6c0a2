package vault

import (
	"bytes"
	"crypto/ecdsa"
	_ "crypto/sha256" // for crypto.Hash.New
	_ "crypto/sha512"
	"fmt"
	"io"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/driver"
)

// A SignAlgorithm is a signature algorithm of CMKs of usage SignVerify. Signatures of ECDSA
// and SM2 are encoded as ASN.1 DER.
type SignAlgorithm string

// The signature algorithms.
const (
	ECCP256R1 SignAlgorithm = "ECC_P256_R1" // ECDSA with SHA-256
	ECCP384R1 SignAlgorithm = "ECC_P384_R1" // ECDSA with SHA-384
	ECCP521R1 SignAlgorithm = "ECC_P521_R1" // ECDSA with SHA-512
	// SM2DSA is the algorithm of GM/T 0003.2; the digest is SM3(Z ‖ M).
	SM2DSA SignAlgorithm = "SM2DSA"
	// The RSA-PSS algorithms use the same hash for the message and for MGF1, and a salt as
	// long as the hash (RFC 8017, 8.1).
	RSAPSSSHA256   SignAlgorithm = "RSA_PSS_SHA_256"
	RSAPSSSHA384   SignAlgorithm = "RSA_PSS_SHA_384"
	RSAPSSSHA512   SignAlgorithm = "RSA_PSS_SHA_512"
	RSAPKCS1SHA256 SignAlgorithm = "RSA_PKCS1_SHA_256"
	RSAPKCS1SHA384 SignAlgorithm = "RSA_PKCS1_SHA_384"
	RSAPKCS1SHA512 SignAlgorithm = "RSA_PKCS1_SHA_512"
	// EdDSA is pure Ed25519 (RFC 8032). It signs messages only, not digests.
	EdDSA SignAlgorithm = "ED25519"
)

// signRow is one signature algorithm of one spec.
type signRow struct {
	spec   KeySpec
	alg    SignAlgorithm
	device driver.SignAlg
}

// signTable lists the algorithms of each spec; the first of a spec is its default.
var signTable = []signRow{
	{ECCP256, ECCP256R1, driver.ECDSASHA256},
	{ECCP384, ECCP384R1, driver.ECDSASHA384},
	{ECCP521, ECCP521R1, driver.ECDSASHA512},
	{SM2, SM2DSA, driver.SM2DSA},
	{Ed25519, EdDSA, driver.EdDSAEd25519},
	{RSA2048, RSAPSSSHA256, driver.RSAPSSSHA256},
	{RSA2048, RSAPSSSHA384, driver.RSAPSSSHA384},
	{RSA2048, RSAPSSSHA512, driver.RSAPSSSHA512},
	{RSA2048, RSAPKCS1SHA256, driver.RSAPKCS1SHA256},
	{RSA2048, RSAPKCS1SHA384, driver.RSAPKCS1SHA384},
	{RSA2048, RSAPKCS1SHA512, driver.RSAPKCS1SHA512},
	{RSA3072, RSAPSSSHA256, driver.RSAPSSSHA256},
	{RSA3072, RSAPSSSHA384, driver.RSAPSSSHA384},
	{RSA3072, RSAPSSSHA512, driver.RSAPSSSHA512},
	{RSA3072, RSAPKCS1SHA256, driver.RSAPKCS1SHA256},
	{RSA3072, RSAPKCS1SHA384, driver.RSAPKCS1SHA384},
	{RSA3072, RSAPKCS1SHA512, driver.RSAPKCS1SHA512},
	{RSA4096, RSAPSSSHA256, driver.RSAPSSSHA256},
	{RSA4096, RSAPSSSHA384, driver.RSAPSSSHA384},
	{RSA4096, RSAPSSSHA512, driver.RSAPSSSHA512},
	{RSA4096, RSAPKCS1SHA256, driver.RSAPKCS1SHA256},
	{RSA4096, RSAPKCS1SHA384, driver.RSAPKCS1SHA384},
	{RSA4096, RSAPKCS1SHA512, driver.RSAPKCS1SHA512},
}

// signAlgorithms returns the signature algorithms of a spec.
func signAlgorithms(spec KeySpec) (all []SignAlgorithm) {
	for _, r := range signTable {
		if r.spec == spec {
			all = append(all, r.alg)
		}
	}
	return all
}

// chooseSign returns the row of alg for a spec, or the spec's default if alg is empty.
func chooseSign(spec KeySpec, alg SignAlgorithm) (signRow, error) {
	for _, r := range signTable {
		if r.spec == spec && (alg == "" || r.alg == alg) {
			return r, nil
		}
	}
	return signRow{}, invalid("algorithm %.80q is not one of spec %s", alg, spec)
}

// digest returns the digest of message for the algorithm. public and id are used for SM2
// only, whose digest covers the public key and the signer's id. For Ed25519 it returns the
// message.
func (r signRow) digest(message, public, id []byte) ([]byte, error) {
	switch r.device {
	case driver.EdDSAEd25519:
		return message, nil
	case driver.SM2DSA:
		return SM2Digest(public, id, bytes.NewReader(message))
	}
	h := r.device.Hash().New()
	h.Write(message)
	return h.Sum(nil), nil
}

// SM2Digest returns the digest that an SM2 signature covers, SM3(Z ‖ M), for a message of
// any length (GM/T 0003.2, 5.5 and 6.1). Pass it to Sign and Verify as Digest. publicKey is
// an X.509 SubjectPublicKeyInfo in DER, as in PublicKey.DER. id is the signer's id of at
// most 8191 bytes; nil means SM2DefaultID. Errors: ErrInvalid for a key that is not on the
// SM2 curve, ErrTooLarge for a long id, and the errors of message.
func SM2Digest(publicKey, id []byte, message io.Reader) ([]byte, error) {
	key, err := smx509.ParsePKIXPublicKey(publicKey)
	public, ok := key.(*ecdsa.PublicKey)
	if err != nil || !ok || !sm2.IsSM2PublicKey(public) {
		return nil, invalid("the public key is not an SM2 key in SubjectPublicKeyInfo form")
	}
	if err := checkSM2ID(id); err != nil {
		return nil, err
	}
	if len(id) == 0 {
		id = []byte(SM2DefaultID)
	}
	z, err := sm2.CalculateZA(public, id)
	if err != nil {
		return nil, invalid("SM2 id: %v", err)
	}
	h := sm3.New()
	h.Write(z)
	if _, err := io.Copy(h, message); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// maxSM2ID is the maximum length of a signer's id in bytes, because its length in bits is
// encoded in two bytes.
const maxSM2ID = 8191

// checkSM2ID returns ErrTooLarge for an id that is too long.
func checkSM2ID(id []byte) error {
	if len(id) > maxSM2ID {
		return fmt.Errorf("%w: SM2 id has %d bytes, the limit is %d", ErrTooLarge, len(id), maxSM2ID)
	}
	return nil
}
