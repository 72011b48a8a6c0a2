package object

import (
	"crypto/aes"
	"crypto/rand"
	"errors"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/suite"
)

// A Duplicate is an object wrapped for a storage key, with the seed of the wrapping,
// encrypted to that storage key.
type Duplicate struct{ Wrapped, Seed []byte }

// Wrap encrypts a sensitive area so that only the TPM with the storage key parent can
// import it, and only for the object of that name. It is the outer wrapper of Part 1,
// 23.3.2.4. go-tpm implements it too, but with a cipher that Go refuses where FIPS 140 is
// enforced.
func Wrap(parent *tpm2.TPMTPublic, name, sensitive []byte) (Duplicate, error) {
	key, err := tpm2.ImportEncapsulationKey(parent)
	if err != nil {
		return Duplicate{}, err
	}
	size, err := StorageSize(key.SymmetricParameters())
	if err != nil {
		return Duplicate{}, err
	}
	secret, seed, err := key.Encapsulate(rand.Reader, "DUPLICATE")
	if err != nil {
		return Duplicate{}, err
	}
	defer suite.Wipe(secret)
	storage, integrity := suite.NewSecret(size), suite.NewSecret(suite.HashSize)
	defer suite.Wipe(storage)
	defer suite.Wipe(integrity)
	suite.AES.KDF(storage, secret, "STORAGE", name)
	suite.AES.KDF(integrity, secret, "INTEGRITY", nil)
	body := wire.ConcatSized(sensitive)
	wire.CFB(storage, make([]byte, aes.BlockSize), body, true)
	mac := suite.AES.MAC(integrity, body, name)
	return Duplicate{append(wire.AppendSized(nil, mac[:]), body...), seed}, nil
}

var errStorage = errors.New("the storage root key wraps by another cipher than AES-CFB: keys cannot be imported under it")

// StorageSize returns the length in bytes of the symmetric key by which a storage key
// wraps.
func StorageSize(s *tpm2.TPMTSymDefObject) (int, error) {
	refused := &driver.Error{Op: "TPM2_Import", Class: driver.Unsupported, Err: errStorage}
	if s.Algorithm != tpm2.TPMAlgAES {
		return 0, refused
	}
	bits, err := s.KeyBits.AES()
	if err != nil {
		return 0, refused
	}
	if mode, err := s.Mode.AES(); err != nil || *mode != tpm2.TPMAlgCFB {
		return 0, refused
	}
	return int(*bits) / 8, nil
}
