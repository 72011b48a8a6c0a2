package tpm

import (
	"context"
	"crypto/rand"
	"crypto/sha256"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// ImportKey encrypts material to the TPM's storage root key in the host, and imports it
// by TPM2_Import. material is 32 bytes for HMAC-SHA-256, else PKCS #8 DER. An RSA key
// must have two primes and the exponent 65537. The attributes of the key report that it
// was generated outside.
func (d *Driver) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, material []byte) (driver.Created, error) {
	const op = "TPM2_Import"
	k, err := d.offered(ctx, op, spec)
	if err != nil {
		return driver.Created{}, err
	}
	defer d.gate.Leave()
	n, auth := keyName{id, spec}, newAuth()
	defer suite.Wipe(auth)
	area := imported(k.area(n.binding(auth)))
	plain, err := adopt(k, &area, auth, material)
	if err != nil {
		return driver.Created{}, fault(op, driver.Invalid, err)
	}
	defer suite.Wipe(plain)
	var made pair
	err = d.queue.do(op, &job{ctx: ctx, lane: ordinary, cost: op, act: func(dev *device) (err error) {
		made, err = dev.takeOver(area, plain)
		return err
	}})
	if err != nil {
		return driver.Created{}, err
	}
	return made.created(op, n, auth)
}

// takeOver encrypts a sensitive area to the storage root key and imports it.
func (d *device) takeOver(area tpm2.TPMTPublic, plain []byte) (pair, error) {
	name, err := tpm2.ObjectName(&area)
	if err != nil {
		return pair{}, err
	}
	w, err := d.srk.wrap(name.Buffer, plain)
	if err != nil {
		return pair{}, err
	}
	made := pair{parent: d.srk.name, public: tpm2.Marshal(area)}
	err = d.withSRK(func(parent entity) error {
		rsp, err := tpm2.Import{
			ParentHandle: d.parent(parent, d.session.with(nil)),
			ObjectPublic: tpm2.New2B(area),
			Duplicate:    tpm2.TPM2BPrivate{Buffer: w.duplicate},
			InSymSeed:    tpm2.TPM2BEncryptedSecret{Buffer: w.seed},
			Symmetric:    tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull},
		}.Execute(&d.link)
		if err == nil {
			made.private = rsp.OutPrivate.Buffer
		}
		return d.guarded(err)
	})
	return made, err
}

// keyedHash returns the sensitive area of a derivation key, and sets the unique field of
// area: a hash of the material with a random seed.
func keyedHash(area *tpm2.TPMTPublic, auth, material []byte) []byte {
	seed := make([]byte, sha256.Size)
	rand.Read(seed)
	unique := suite.AES.Hash(seed, material)
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: unique[:]})
	return sensitive(tpm2.TPMAlgKeyedHash, auth, seed, material)
}
