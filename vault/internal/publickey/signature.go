package publickey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash.New
	_ "crypto/sha512"
	"fmt"
	"io"
	"reflect"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"

	"strongroom.example/driver"
	"strongroom.example/internal/keyder"
	"strongroom.example/vault/internal/fault"
)

// SM2DefaultID is the signer's id that GM/T 0009 gives for SM2.
const SM2DefaultID = "1234567812345678"

// Digest returns the digest of message for an algorithm. public and id are used for SM2
// only, whose digest covers the public key and the signer's id. For Ed25519 it returns the
// message.
func Digest(alg driver.SignAlg, message, public, id []byte) ([]byte, error) {
	switch alg {
	case driver.EdDSAEd25519:
		return message, nil
	case driver.SM2DSA:
		return SM2Digest(public, id, bytes.NewReader(message))
	}
	h := alg.Hash().New()
	h.Write(message)
	return h.Sum(nil), nil
}

// SM2Digest returns the digest that an SM2 signature covers, SM3(Z ‖ M), for a message of
// any length (GM/T 0003.2, 5.5 and 6.1). publicKey is an X.509 SubjectPublicKeyInfo in DER. id
// is the signer's id of at most 8191 bytes; nil means SM2DefaultID. Errors: ErrInvalid for a key that is not on the
// SM2 curve, ErrTooLarge for a long id, and the errors of message.
func SM2Digest(publicKey, id []byte, message io.Reader) ([]byte, error) {
	key, err := keyder.ParsePublic(publicKey)
	public, ok := key.(*ecdsa.PublicKey)
	if err != nil || !ok || !sm2.IsSM2PublicKey(public) {
		return nil, fault.Invalid("the public key is not an SM2 key in SubjectPublicKeyInfo form")
	}
	if err := CheckSM2ID(id); err != nil {
		return nil, err
	}
	if len(id) == 0 {
		id = []byte(SM2DefaultID)
	}
	z, err := sm2.CalculateZA(public, id)
	if err != nil {
		return nil, fault.Invalid("SM2 id: %v", err)
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

// CheckSM2ID returns ErrTooLarge for an id that is too long.
func CheckSM2ID(id []byte) error {
	if len(id) > maxSM2ID {
		return fmt.Errorf("%w: SM2 id has %d bytes, the limit is %d", fault.ErrTooLarge, len(id), maxSM2ID)
	}
	return nil
}

// DescribeOptions formats the options of a caller of crypto.Signer for an error.
func DescribeOptions(hash crypto.Hash, opts crypto.SignerOpts) string {
	name := "without a hash"
	if hash != 0 {
		name = "over " + hash.String()
	}
	switch o := opts.(type) {
	case nil, crypto.Hash:
		return name
	case *rsa.PSSOptions:
		return fmt.Sprintf("by PSS %s with SaltLength %d", name, o.SaltLength)
	}
	return fmt.Sprintf("%s with options %T", name, opts)
}

// Fits reports whether a signature algorithm matches the hash and options of a caller of
// crypto.Signer.
func Fits(alg driver.SignAlg, hash crypto.Hash, opts crypto.SignerOpts) bool {
	switch o := opts.(type) {
	case *rsa.PSSOptions:
		salt := o.SaltLength == rsa.PSSSaltLengthEqualsHash || o.SaltLength == rsa.PSSSaltLengthAuto || o.SaltLength == alg.DigestSize()
		return alg.IsPSS() && hash == alg.Hash() && salt
	case *sm2.SM2SignerOption:
		// gmsm does not export the id, so only the default id can be recognised.
		plain := reflect.DeepEqual(o, sm2.DefaultSM2SignerOpts) || reflect.DeepEqual(o, sm2.NewSM2SignerOption(false, nil))
		return alg == driver.SM2DSA && plain
	case *ed25519.Options:
		return alg == driver.EdDSAEd25519 && hash == 0 && o.Context == ""
	}
	return !alg.IsPSS() && hash == alg.Hash()
}
