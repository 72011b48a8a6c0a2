package driver

import "crypto"

// A SignAlg is a signature algorithm.
type SignAlg string

// The signature algorithms.
const (
	RSAPKCS1SHA256 SignAlg = "RSA_PKCS1_SHA_256"
	RSAPKCS1SHA384 SignAlg = "RSA_PKCS1_SHA_384"
	RSAPKCS1SHA512 SignAlg = "RSA_PKCS1_SHA_512"
	// The RSA-PSS algorithms use one hash for the message and for MGF1, and a salt as
	// long as the hash (RFC 8017, 8.1).
	RSAPSSSHA256 SignAlg = "RSA_PSS_SHA_256"
	RSAPSSSHA384 SignAlg = "RSA_PSS_SHA_384"
	RSAPSSSHA512 SignAlg = "RSA_PSS_SHA_512"
	// ECDSASHA256, 384 and 512 go with P-256, P-384 and P-521.
	ECDSASHA256 SignAlg = "ECDSA_SHA_256"
	ECDSASHA384 SignAlg = "ECDSA_SHA_384"
	ECDSASHA512 SignAlg = "ECDSA_SHA_512"
	// SM2DSA takes e = SM3(Z ‖ M), as in GM/T 0003.2, as its digest.
	SM2DSA SignAlg = "SM2DSA"
	// EdDSAEd25519 is pure Ed25519 (RFC 8032); it takes the message itself.
	EdDSAEd25519 SignAlg = "ED25519"
)

// DigestSize returns the length in bytes of the digest that the algorithm signs. It is 0
// for an algorithm that signs the message itself and for an unknown algorithm.
func (a SignAlg) DigestSize() int {
	if a == SM2DSA {
		return 32
	}
	if h := a.Hash(); h != 0 {
		return h.Size()
	}
	return 0
}

// Hash returns the SHA-2 hash that computes the digest. It is 0 for Ed25519, which signs
// the message; for SM2, because package crypto has no identifier for SM3; and for an
// unknown algorithm.
func (a SignAlg) Hash() crypto.Hash {
	switch a {
	case RSAPKCS1SHA256, RSAPSSSHA256, ECDSASHA256:
		return crypto.SHA256
	case RSAPKCS1SHA384, RSAPSSSHA384, ECDSASHA384:
		return crypto.SHA384
	case RSAPKCS1SHA512, RSAPSSSHA512, ECDSASHA512:
		return crypto.SHA512
	}
	return 0
}

// IsPSS reports whether the algorithm is one of RSA-PSS.
func (a SignAlg) IsPSS() bool {
	return a == RSAPSSSHA256 || a == RSAPSSSHA384 || a == RSAPSSSHA512
}

// TakesMessage reports whether the algorithm takes the message, not a digest.
func (a SignAlg) TakesMessage() bool { return a == EdDSAEd25519 }

// FitsInput reports whether the algorithm signs an input of n bytes.
func (a SignAlg) FitsInput(n int) bool {
	if a.TakesMessage() {
		return n <= MaxInput
	}
	return n == a.DigestSize()
}

// An EncryptAlg is an asymmetric encryption algorithm. PKCS #1 v1.5 is not one of them:
// the vault implements it over RSARaw, with one constant-time unpadding for all drivers.
type EncryptAlg string

// The asymmetric encryption algorithms.
const (
	// RSARaw is c^d mod n (RSADP of RFC 8017, 5.1.2): as long as the modulus, left-padded
	// with zeros. A ciphertext whose length is not that of the modulus, or whose value is
	// not below the modulus, is Authentic.
	RSARaw EncryptAlg = "RSA_RAW"
	// RSAOAEPSHA1 and RSAOAEPSHA256 use the same hash for MGF1, and no label.
	RSAOAEPSHA1   EncryptAlg = "RSAES_OAEP_SHA_1"
	RSAOAEPSHA256 EncryptAlg = "RSAES_OAEP_SHA_256"
	// SM2ASN1 is SM2 encryption with the ciphertext in ASN.1, C1 C3 C2
	// (GM/T 0009).
	SM2ASN1 EncryptAlg = "SM2_C1C3C2_ASN1"
)

// A WrapAlg is a way to wrap key material for a WrappedImporter.
type WrapAlg string

// The wrapping algorithms. RFC 8017 specifies OAEP; WrapSM2 is SM2 encryption with the
// ciphertext in ASN.1, C1 C3 C2 (GM/T 0009).
const (
	WrapRSAOAEPSHA1   WrapAlg = "RSAES_OAEP_SHA_1"
	WrapRSAOAEPSHA256 WrapAlg = "RSAES_OAEP_SHA_256"
	// WrapRSAAESKWP is CKM_RSA_AES_KEY_WRAP: an AES key under OAEP with SHA-1,
	// then the material under AES-KWP (RFC 5649).
	WrapRSAAESKWP WrapAlg = "RSA_AES_KEY_WRAP"
	// WrapRSAAESKWPSHA256 is the same with SHA-256 in OAEP, for the hash and for MGF1.
	WrapRSAAESKWPSHA256 WrapAlg = "RSA_AES_KEY_WRAP_SHA_256"
	WrapSM2             WrapAlg = "SM2"
)

// TwoSteps reports whether the algorithm wraps the material under a fresh AES key by
// AES-KWP, and that AES key by RSA-OAEP.
func (a WrapAlg) TwoSteps() bool { return a == WrapRSAAESKWP || a == WrapRSAAESKWPSHA256 }
