package vault

import (
	"context"
	"crypto/hmac"
	"encoding/hex"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore"
)

// markInput is the PRF input for the mark of symmetric material. No message of a CMK that
// encrypts has this form.
const markInput = "strongroom/import/mark"

// A mark is a fingerprint of material: the output of the material's own PRF, so that a
// device can compute it, or the hash of its public key. It does not reveal the material.
// The vault stores it only as a MAC under its commitment key.
type mark struct {
	family string // the PRF's algorithm, or "PUBLIC"
	value  [suite.HashSize]byte
}

func wipeMarks(marks []mark) {
	for i := range marks {
		suite.Wipe(marks[i].value[:])
	}
}

// markOf computes the mark of opened material.
func (v *Vault) markOf(ctx context.Context, key driver.Key, spec driver.KeySpec, public []byte) (m mark, err error) {
	if !symmetric(spec) {
		if len(public) == 0 {
			return m, fmt.Errorf("%w: the driver tells no public key of imported material", ErrUnavailable)
		}
		return mark{"PUBLIC", v.suite.Hash(public)}, nil
	}
	prf, ok := key.(driver.PRF)
	if !ok {
		return m, fmt.Errorf("%w: the driver gave a key that is not for %s", ErrUnavailable, spec)
	}
	out, err := derive(ctx, prf, m.value[:0], []byte(markInput))
	if err != nil {
		return m, err
	}
	m.family = string(spec.Algorithm)
	copy(m.value[:], out)
	return m, nil
}

// hostMarks computes the marks of symmetric material that the host holds, one for each PRF
// that CMKs of the edition use, so that the material is recognised under each.
func hostMarks(material []byte, e Edition) (marks []mark) {
	for _, f := range []struct {
		id   suite.ID
		spec KeySpec
		alg  driver.KeyAlgorithm
	}{{suite.AES, HMAC256, driver.HMACSHA256}, {suite.SM, HMACSM3, driver.HMACSM3}} {
		if f.id.Usable() && excluded(e, f.spec) == nil {
			marks = append(marks, mark{string(f.alg), f.id.MAC(material, []byte(markInput))})
		}
	}
	return marks
}

// The purposes of the commitment key.
const (
	commitToKey   = "key"
	commitToVault = "vault"
)

// commitment returns the value that binds a CMK to its material.
func (v *Vault) commitment(m mark, key string) []byte {
	c := v.suite.MAC(v.secrets.commitment(), []byte(commitToKey), []byte{0}, []byte(m.family), []byte{0}, m.value[:], []byte(key))
	return c[:]
}

// indexPath returns the path of the record of the material's use.
func (v *Vault) indexPath(m mark) string {
	c := v.suite.MAC(v.secrets.commitment(), []byte(commitToVault), []byte{0}, []byte(m.family), []byte{0}, m.value[:])
	return "imported/" + hex.EncodeToString(c[:])
}

// imported is the one permitted use of imported material in this vault. It is kept after
// the material is deleted, because results that were computed for one usage continue to
// exist.
type imported struct {
	Usage KeyUsage `json:"usage"`
	Spec  KeySpec  `json:"spec"`
}

// claim binds material to its CMK, and to one usage and spec in this vault. marks[0] is the
// mark for the CMK's own algorithm. Errors: ErrOtherMaterial if the CMK had other material;
// ErrImport if the vault has this material for another usage or spec, because GenerateMac
// would compute the PRF of a CMK that encrypts.
func (v *Vault) claim(tx *keystore.Tx, k Key, state *importState, marks []mark) error {
	c := v.commitment(marks[0], k.ID)
	if state.Commitment != nil && !hmac.Equal(state.Commitment, c) {
		return fmt.Errorf("%w: the CMK takes that of its first import again, and no other", ErrOtherMaterial)
	}
	state.Commitment = c
	for _, m := range marks {
		path, use := v.indexPath(m), imported{k.Usage, k.Spec}
		if tx.Version(path) == 0 {
			tx.Put(path, encode(use))
			continue
		}
		r, err := tx.Get(path)
		if err != nil {
			return err
		}
		if had, err := decode[imported](path, r.Value); err != nil || had != use {
			return orElse(err, fmt.Errorf("%w: this vault has the same material for another usage or spec", ErrImport))
		}
	}
	return nil
}

// orElse returns err, or other if err is nil.
func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
