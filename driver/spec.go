package driver

import "crypto/elliptic"

// A KeyAlgorithm is the kind and size of key material.
type KeyAlgorithm string

// The key algorithms. Symmetric material is imported in the clear as raw bytes,
// asymmetric material as PKCS #8 DER (RFC 5208).
const (
	// HMACSHA256 is a derivation key of 32 bytes for HMAC with SHA-256. The others of SHA-2
	// have a key as long as their hash.
	HMACSHA256 KeyAlgorithm = "HMAC_SHA_256"
	HMACSHA224 KeyAlgorithm = "HMAC_SHA_224"
	HMACSHA384 KeyAlgorithm = "HMAC_SHA_384"
	HMACSHA512 KeyAlgorithm = "HMAC_SHA_512"
	// HMACSM3 is a derivation key for HMAC with SM3: 32 bytes when generated, 32
	// or 16 (the size of an SM4 key) when imported.
	HMACSM3 KeyAlgorithm = "HMAC_SM3"

	RSA2048 KeyAlgorithm = "RSA_2048"
	RSA3072 KeyAlgorithm = "RSA_3072"
	RSA4096 KeyAlgorithm = "RSA_4096"

	ECP256  KeyAlgorithm = "EC_P256"
	ECP384  KeyAlgorithm = "EC_P384"
	ECP521  KeyAlgorithm = "EC_P521"
	Ed25519 KeyAlgorithm = "ED25519"
	// SM2 is the curve of GM/T 0003.5 (sm2p256v1).
	SM2 KeyAlgorithm = "SM2"
)

// Symmetric reports whether the material is raw bytes and not a key pair.
func (a KeyAlgorithm) Symmetric() bool { return a.MACSize() != 0 }

// MaxMACSize is the largest KeyAlgorithm.MACSize.
const MaxMACSize = 64

// MACSize returns the length in bytes of the output of an HMAC algorithm, which is also the
// length of a generated key, and 0 for another algorithm.
func (a KeyAlgorithm) MACSize() int {
	switch a {
	case HMACSHA224:
		return 28
	case HMACSHA256, HMACSM3:
		return 32
	case HMACSHA384:
		return 48
	case HMACSHA512:
		return 64
	}
	return 0
}

// FitsMaterial reports whether symmetric material of n bytes can be imported.
func (a KeyAlgorithm) FitsMaterial(n int) bool {
	return a.Symmetric() && (n == a.MACSize() || a == HMACSM3 && n == 16)
}

// ModulusBits returns the length in bits of the modulus of an RSA algorithm, and 0 for
// another algorithm.
func (a KeyAlgorithm) ModulusBits() int {
	switch a {
	case RSA2048:
		return 2048
	case RSA3072:
		return 3072
	case RSA4096:
		return 4096
	}
	return 0
}

// Curve returns the curve of ECP256, ECP384 and ECP521. It is nil for SM2, because package
// elliptic does not have that curve, and for an algorithm without one.
func (a KeyAlgorithm) Curve() elliptic.Curve {
	switch a {
	case ECP256:
		return elliptic.P256()
	case ECP384:
		return elliptic.P384()
	case ECP521:
		return elliptic.P521()
	}
	return nil
}

// SignAlgs returns the signature algorithms of keys of the algorithm, and nil if its keys
// do not sign. A device may support only some of them.
func (a KeyAlgorithm) SignAlgs() []SignAlg {
	switch a {
	case RSA2048, RSA3072, RSA4096:
		return []SignAlg{RSAPKCS1SHA256, RSAPKCS1SHA384, RSAPKCS1SHA512, RSAPSSSHA256, RSAPSSSHA384, RSAPSSSHA512}
	case ECP256:
		return []SignAlg{ECDSASHA256}
	case ECP384:
		return []SignAlg{ECDSASHA384}
	case ECP521:
		return []SignAlg{ECDSASHA512}
	case Ed25519:
		return []SignAlg{EdDSAEd25519}
	case SM2:
		return []SignAlg{SM2DSA}
	}
	return nil
}

// A Usage is the single purpose of a key. A key never has two usages, because combined
// roles (such as decrypt and unwrap) are how tokens disclose keys.
type Usage string

// The usages, each with the interface that its keys implement.
const (
	Derive  Usage = "DERIVE"  // PRF
	Sign    Usage = "SIGN"    // Signer
	Decrypt Usage = "DECRYPT" // Decrypter
	Unwrap  Usage = "UNWRAP"  // none: the private half of a WrappedImporter's key
)

// A KeySpec is the algorithm of a key and its usage. It is comparable.
type KeySpec struct {
	Algorithm KeyAlgorithm
	Usage     Usage
}

// String returns algorithm and usage as "RSA_2048/SIGN".
func (s KeySpec) String() string { return string(s.Algorithm) + "/" + string(s.Usage) }
