// Package publickey computes with the public keys and messages of callers: the digests that
// signatures cover, the options of crypto.Signer, and encryption to a recipient.
package publickey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/ciphertext"
	"strongroom.example/internal/keyder"
	"strongroom.example/vault/internal/fault"
)

// A Recipient is a public key to which plaintext is encrypted. ParseRecipient makes one.
type Recipient struct {
	// Algorithm is a vault.EncryptionAlgorithm, and Fingerprint the SHA-256 of the key's
	// SubjectPublicKeyInfo in hexadecimal. Both are empty for the zero value.
	Algorithm, Fingerprint string

	der    []byte
	device driver.EncryptAlg
	max    int // length of the longest plaintext
}

// ParseRecipient reads a public key: a SubjectPublicKeyInfo in DER, or in one PEM block. Errors:
// ErrInvalid.
func ParseRecipient(key []byte) (Recipient, error) {
	der := slices.Clone(key)
	if block, rest := pem.Decode(key); block != nil {
		if block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
			return Recipient{}, fault.Invalid("the recipient is not one PEM block PUBLIC KEY")
		}
		der = block.Bytes
	}
	public, err := keyder.ParsePublic(der)
	if err != nil {
		return Recipient{}, fault.Invalid("the recipient is not a SubjectPublicKeyInfo in DER or PEM")
	}
	sum := sha256.Sum256(der)
	r := Recipient{der: der, Fingerprint: hex.EncodeToString(sum[:])}
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits != 2048 && bits != 3072 && bits != 4096 {
			return Recipient{}, fault.Invalid("the recipient's RSA key has %d bits, not 2048, 3072 or 4096", bits)
		}
		// Every program could open a message to a key with the exponent 1.
		if k.E < 1<<16 || int64(k.E) > math.MaxInt32 || k.E%2 == 0 || k.N.Bit(0) == 0 {
			return Recipient{}, fault.Invalid("the recipient's RSA key has the exponent %d; it must be odd and from 65537 to 2147483647, and the modulus odd", k.E)
		}
		r.Algorithm, r.device, r.max = "RSAES_OAEP_SHA_256", driver.RSAOAEPSHA256, k.Size()-2*sha256.Size-2
		return r, nil
	case *ecdsa.PublicKey:
		if sm2.IsSM2PublicKey(k) {
			r.Algorithm, r.device, r.max = "SM2_C1C3C2_ASN1", driver.SM2ASN1, ciphertext.MaxPlaintext
			return r, nil
		}
	}
	return Recipient{}, fault.Invalid("the recipient's key is neither of RSA nor of SM2")
}

// Seal encrypts plaintext to the recipient.
func (r Recipient) Seal(plaintext []byte) ([]byte, error) {
	switch n := len(plaintext); {
	case n > r.max:
		return nil, fmt.Errorf("%w: the plaintext has %d bytes; %s to this recipient takes %d", fault.ErrTooLarge, n, r.Algorithm, r.max)
	case n == 0 && r.device == driver.SM2ASN1:
		return nil, fault.Invalid("the plaintext is empty, which SM2 cannot encrypt")
	}
	return soft.Encrypt(r.der, r.device, plaintext)
}
