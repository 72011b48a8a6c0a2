package devicekey

import (
	"context"
	"encoding/hex"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/fault"
)

// FingerprintInput is the PRF input for the fingerprint of symmetric material. No message of
// a CMK that encrypts has this form.
const FingerprintInput = "strongroom/import/mark"

// A Fingerprint identifies material: it is the output of the material's own PRF, so that a
// device can compute it, or the hash of its public key. It does not reveal the material. The
// vault stores it only as a MAC under its commitment key.
type Fingerprint struct {
	Family string // the PRF's algorithm, or "PUBLIC"
	// Value is the beginning of a longer output, and a shorter one with zeros behind it.
	Value [suite.HashSize]byte
}

// Wipe wipes the fingerprint.
func (m *Fingerprint) Wipe() { suite.Wipe(m.Value[:]) }

// WipeAll wipes fingerprints.
func WipeAll(prints []Fingerprint) {
	for i := range prints {
		prints[i].Wipe()
	}
}

// FingerprintOf computes the fingerprint of opened material, whose public half is public. The
// caller wipes it.
func (c Commitment) FingerprintOf(ctx context.Context, key driver.Key, spec driver.KeySpec, public []byte) (m Fingerprint, err error) {
	if spec.Usage != driver.Derive {
		if len(public) == 0 {
			return m, fmt.Errorf("%w: the driver returned no public key of the imported material", fault.ErrUnavailable)
		}
		return Fingerprint{"PUBLIC", c.Suite.Hash(public)}, nil
	}
	prf, ok := key.(driver.PRF)
	if !ok {
		return m, fmt.Errorf("%w: the driver returned a key that is not for %s", fault.ErrUnavailable, spec)
	}
	var space [driver.MaxMACSize]byte
	defer suite.Wipe(space[:])
	out, err := CheckedPRF(ctx, prf, spec.Algorithm, space[:0], []byte(FingerprintInput))
	if err != nil {
		return m, err
	}
	defer suite.Wipe(out)
	m.Family = string(spec.Algorithm)
	copy(m.Value[:], out)
	return m, nil
}

// HostFingerprints computes the fingerprints of symmetric material that the host holds, one
// for each PRF that CMKs of the edition use, so that the material is recognised under each.
// The caller wipes them.
func HostFingerprints(material []byte, e driver.Edition) (prints []Fingerprint) {
	for _, f := range []struct {
		id   suite.ID
		spec string // name of the key spec
		alg  driver.KeyAlgorithm
	}{{suite.AES, "HMAC_256", driver.HMACSHA256}, {suite.SM, "HMAC_SM3", driver.HMACSM3}} {
		if f.id.Usable() && editionrules.Excluded(e, f.spec) == nil {
			prints = append(prints, Fingerprint{string(f.alg), f.id.MAC(material, []byte(FingerprintInput))})
		}
	}
	return prints
}

// ToKey returns the value that binds a CMK to its material.
func (c Commitment) ToKey(m Fingerprint, key string) []byte {
	sum := c.Suite.MAC(c.Key, []byte(commitToKey), []byte{0}, []byte(m.Family), []byte{0}, m.Value[:], []byte(key))
	return sum[:]
}

// UsePath returns the path of the record of the material's use.
func (c Commitment) UsePath(m Fingerprint) string {
	sum := c.Suite.MAC(c.Key, []byte(commitToVault), []byte{0}, []byte(m.Family), []byte{0}, m.Value[:])
	return "imported/" + hex.EncodeToString(sum[:])
}
