package devicekey

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/fault"
)

// CheckInput is the PRF input for the check value of a symmetric key. Inputs for messages
// begin with a counter of four bytes (SP 800-108), so no message of a CMK that encrypts has
// this form.
const CheckInput = "strongroom/key/check"

// CheckSize is the length in bytes of a check value.
const CheckSize = 16

// A Version is the recorded version of a CMK that a device's key must be.
type Version struct {
	Key      string // id of the CMK
	Number   uint32
	Driver   string
	Material string
	Spec     driver.KeySpec
	Public   []byte // public half as SubjectPublicKeyInfo in DER
	// Can has the algorithms that the driver has for Spec.
	Can driver.SpecInfo
}

// ErrReplaced returns the error for a device key that is not the version's key.
func (v Version) ErrReplaced() error {
	return fmt.Errorf("%w: version %d of key %s in driver %q", fault.ErrKeyReplaced, v.Number, v.Key, v.Driver)
}

// ErrInterface returns the error for a key without the interface of its usage.
func (v Version) ErrInterface() error {
	return fmt.Errorf("%w: driver %q returned a key that is not for %s", fault.ErrUnavailable, v.Driver, v.Spec.Usage)
}

// CheckValue returns the check value of an opened symmetric key. It is a MAC of the PRF's
// output for CheckInput, under the vault's commitment key, so that the stored value is not a
// MAC under the CMK.
func (v Version) CheckValue(ctx context.Context, key driver.Key, c Commitment) ([]byte, error) {
	prf, ok := key.(driver.PRF)
	if !ok {
		return nil, v.ErrInterface()
	}
	var buf [driver.MaxMACSize]byte
	defer suite.Wipe(buf[:])
	out, err := CheckedPRF(ctx, prf, v.Spec.Algorithm, buf[:0], []byte(CheckInput))
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(out)
	sum := c.Suite.MAC(c.Key, []byte(commitToCheck), []byte{0}, []byte(v.Spec.Algorithm), []byte{0}, out, []byte(v.Material))
	return sum[:CheckSize], nil
}

// CheckSigner signs a random digest or message with a private key and verifies the signature
// with the recorded public half. It does not release the signature. It returns ErrKeyReplaced
// if the key is not that of the version.
func (v Version) CheckSigner(ctx context.Context, key driver.Key) error {
	signer, ok := key.(driver.Signer)
	if !ok {
		return v.ErrInterface()
	}
	if len(v.Can.Sign) == 0 {
		return fmt.Errorf("%w: driver %q lists no signature algorithm for %s", fault.ErrUnsupported, v.Driver, v.Spec)
	}
	alg := v.Can.Sign[0]
	input := make([]byte, max(alg.DigestSize(), 32))
	rand.Read(input)
	signature, err := signer.Sign(ctx, alg, input)
	if err != nil {
		return err
	}
	if soft.Verify(v.Public, alg, input, signature) != nil {
		return v.ErrReplaced()
	}
	return nil
}

// CheckDecrypter encrypts a random text to the recorded public half and decrypts it with the
// private key. It returns ErrKeyReplaced if the key is not that of the version.
func (v Version) CheckDecrypter(ctx context.Context, key driver.Key) error {
	decrypter, ok := key.(driver.Decrypter)
	if !ok {
		return v.ErrInterface()
	}
	if len(v.Can.Decrypt) == 0 {
		return fmt.Errorf("%w: driver %q lists no decryption algorithm for %s", fault.ErrUnsupported, v.Driver, v.Spec)
	}
	alg, text := checkAlgorithm(v.Can), make([]byte, 32)
	rand.Read(text)
	text[0] |= 1 // because leading zeros are trimmed
	ciphertext, err := soft.Encrypt(v.Public, alg, text)
	if err != nil {
		return fmt.Errorf("%w: public half of key %s version %d: %w", fault.ErrCorrupt, v.Key, v.Number, err)
	}
	out, err := decrypter.Decrypt(ctx, nil, alg, ciphertext)
	if errors.Is(err, driver.Authentic) || errors.Is(err, driver.Invalid) {
		return v.ErrReplaced() // the modulus may have another length
	}
	if err != nil {
		return err
	}
	if alg == driver.RSARaw {
		out = bytes.TrimLeft(out, "\x00")
	}
	if !bytes.Equal(out, text) {
		return v.ErrReplaced()
	}
	return nil
}

// checkAlgorithm chooses the algorithm for CheckDecrypter. It prefers OAEP to RSARaw, which
// some tokens do not have.
func checkAlgorithm(can driver.SpecInfo) driver.EncryptAlg {
	for _, alg := range []driver.EncryptAlg{driver.RSAOAEPSHA256, driver.RSARaw} {
		if slices.Contains(can.Decrypt, alg) {
			return alg
		}
	}
	return can.Decrypt[0]
}
