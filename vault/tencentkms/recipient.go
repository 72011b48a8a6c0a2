package tencentkms

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/internal/sm2ciphertext"
	"strongroom.example/vault"
)

// delivery are the parameters by which a caller gets plaintext encrypted to its public key.
type delivery struct {
	EncryptionPublicKey string
	EncryptionAlgorithm string
}

// A recipient is the public key of a caller.
type recipient struct {
	vault.Recipient
	named bool // false if the request names no key, and the response has the plaintext itself
	raw   bool // SM2 ciphertexts are raw C1 C3 C2 instead of ASN.1
}

// readRecipient returns the recipient of a request.
func (d delivery) readRecipient() (to recipient, err error) {
	if d.EncryptionPublicKey == "" {
		return to, nil
	}
	to.named = true
	if to.Recipient, err = vault.ParseRecipient([]byte(d.EncryptionPublicKey)); err != nil {
		return to, failure{invalidParameter, "EncryptionPublicKey is not an RSA or SM2 public key in PEM."}
	}
	algorithm := cmp.Or(d.EncryptionAlgorithm, "SM2")
	wants := to.Algorithm()
	to.raw = algorithm == "SM2" && wants == vault.SM2C1C3C2
	if !to.raw && algorithm != string(wants) {
		return to, failure{invalidParameter, fmt.Sprintf("The vault does not encrypt to this key with EncryptionAlgorithm %.32q; use %s.", algorithm, wants)}
	}
	return to, nil
}

// rawSM2 returns an SM2 ciphertext in the form 04 ‖ C1 ‖ C3 ‖ C2 (GM/T 0003.4).
func rawSM2(der []byte) ([]byte, error) {
	c, ok := sm2ciphertext.Parse(der)
	if !ok {
		return nil, errors.New("tencentkms: the vault returned an SM2 ciphertext that does not parse")
	}
	return slices.Concat([]byte{4}, c.Point, c.Hash, c.Body), nil
}
