package driver

// A KeyAlgorithm is the kind and size of key material.
type KeyAlgorithm string

// The key algorithms. Symmetric material is imported in the clear as raw bytes,
// asymmetric material as PKCS #8 DER (RFC 5208).
const (
	// HMACSHA256 is a derivation key of 32 bytes for HMAC with SHA-256.
	HMACSHA256 KeyAlgorithm = "HMAC_SHA_256"
	// HMACSM3 is a derivation key for HMAC with SM3: 32 bytes when generated, 32
	// or 16 (the size of an SM4 key) when imported.
	HMACSM3 KeyAlgorithm = "HMAC_SM3"
	// AES256GCM is a 32-byte key for the device's own AES-GCM.
	AES256GCM KeyAlgorithm = "AES_256_GCM"

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

// A Usage is the single purpose of a key. A key never has two usages, because combined
// roles (such as decrypt and unwrap) are how tokens disclose keys.
type Usage string

// The usages, each with the interface that its keys implement.
const (
	Derive  Usage = "DERIVE"  // PRF
	Seal    Usage = "SEAL"    // AEAD
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
