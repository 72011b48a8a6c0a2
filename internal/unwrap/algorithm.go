package unwrap

import "strongroom.example/driver"

// The wrapping algorithms under the names of this package. Package driver has no name for
// RSAPKCS1, because no device supports it.
const (
	// RSAPKCS1 is RSAES-PKCS1-v1_5, with implicit rejection.
	RSAPKCS1 driver.WrapAlg = "RSAES_PKCS1_V1_5"
	// RSAAESKWPSHA1 is driver.WrapRSAAESKWP under a name that includes its hash.
	RSAAESKWPSHA1 driver.WrapAlg = "RSA_AES_KEY_WRAP_SHA_1"
	// RSAAESKWPSHA256 is the same with SHA-256 in OAEP.
	RSAAESKWPSHA256 = driver.WrapRSAAESKWPSHA256
)

// A scheme is the method of one algorithm.
type scheme struct {
	key driver.KeyAlgorithm
	alg driver.EncryptAlg
	// carries is the content that the wrapping key itself decrypts.
	carries payload
}

// A payload is the content of the asymmetric ciphertext.
type payload int

const (
	bare   payload = iota // the material
	padded                // the material in PKCS #1 v1.5 padding
	aesKey                // an AES key; the material follows, under AES-KWP
)

// find returns the scheme of an algorithm.
func find(alg driver.WrapAlg) (scheme, bool) {
	switch alg {
	case RSAPKCS1:
		return scheme{driver.RSA2048, driver.RSARaw, padded}, true
	case driver.WrapRSAOAEPSHA1:
		return scheme{driver.RSA2048, driver.RSAOAEPSHA1, bare}, true
	case driver.WrapRSAOAEPSHA256:
		return scheme{driver.RSA2048, driver.RSAOAEPSHA256, bare}, true
	case driver.WrapRSAAESKWP, RSAAESKWPSHA1:
		return scheme{driver.RSA2048, driver.RSAOAEPSHA1, aesKey}, true
	case RSAAESKWPSHA256:
		return scheme{driver.RSA2048, driver.RSAOAEPSHA256, aesKey}, true
	case driver.WrapSM2:
		return scheme{driver.SM2, driver.SM2ASN1, bare}, true
	}
	return scheme{}, false
}

// KeySpec returns the spec of the wrapping key of an algorithm. The caller generates the
// key by a driver's GenerateKey, fresh for each import. It returns false for an unknown
// algorithm.
func KeySpec(alg driver.WrapAlg) (driver.KeySpec, bool) {
	s, ok := find(alg)
	return driver.KeySpec{Algorithm: s.key, Usage: driver.Decrypt}, ok
}
