package tpm

import (
	"crypto/aes"
	"crypto/rand"
	"errors"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// A duplicate is an object wrapped for a storage key, with the seed of the wrapping,
// encrypted to that storage key.
type duplicate struct{ duplicate, seed []byte }

// wrap encrypts a sensitive area so that only the TPM with this storage key can import
// it, and only for the object of that name. It is the outer wrapper of Part 1, 23.3.2.4.
// go-tpm implements it too, but with a cipher that Go refuses where FIPS 140 is enforced.
func (k *storageKey) wrap(name, sensitive []byte) (duplicate, error) {
	key, err := tpm2.ImportEncapsulationKey(&k.public)
	if err != nil {
		return duplicate{}, err
	}
	size, err := storageSize(key.SymmetricParameters())
	if err != nil {
		return duplicate{}, err
	}
	secret, seed, err := key.Encapsulate(rand.Reader, "DUPLICATE")
	if err != nil {
		return duplicate{}, err
	}
	defer suite.Wipe(secret)
	storage, integrity := make([]byte, size), make([]byte, suite.HashSize)
	defer suite.Wipe(storage)
	defer suite.Wipe(integrity)
	suite.AES.KDF(storage, secret, "STORAGE", name)
	suite.AES.KDF(integrity, secret, "INTEGRITY", nil)
	body := sizedAll(sensitive)
	cfb(storage, make([]byte, aes.BlockSize), body, true)
	mac := suite.AES.MAC(integrity, body, name)
	return duplicate{append(appendSized(nil, mac[:]), body...), seed}, nil
}

var errStorage = errors.New("the storage root key wraps by another cipher than AES-CFB: keys cannot be imported under it")

// storageSize returns the length in bytes of the symmetric key by which a storage key
// wraps.
func storageSize(s *tpm2.TPMTSymDefObject) (int, error) {
	refused := fault("TPM2_Import", driver.Unsupported, errStorage)
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
