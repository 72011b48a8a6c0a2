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

// markInput is what the PRF of symmetric material is asked for its mark. No message
// of a CMK that encrypts has this form.
const markInput = "strongroom/import/mark"

// A mark tells material from other material and says nothing about it: the output
// of its own PRF, so that a device can make it, or the hash of its public key. It
// leaves the call only under the vault's commitment key.
type mark struct {
	family string // the PRF, or "PUBLIC"
	value  [suite.HashSize]byte
}

func wipeMarks(marks []mark) {
	for i := range marks {
		suite.Wipe(marks[i].value[:])
	}
}

// markOf makes the mark of opened material.
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

// hostMarks makes the marks of symmetric material that the host has, one for each
// PRF that CMKs of the edition have, so that it is known again under each.
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

// commitment binds a CMK to its material.
func (v *Vault) commitment(m mark, key string) []byte {
	c := v.suite.MAC(v.secrets.commitment(), []byte(commitToKey), []byte{0}, []byte(m.family), []byte{0}, m.value[:], []byte(key))
	return c[:]
}

// indexPath is where the vault keeps what imported material is for.
func (v *Vault) indexPath(m mark) string {
	c := v.suite.MAC(v.secrets.commitment(), []byte(commitToVault), []byte{0}, []byte(m.family), []byte{0}, m.value[:])
	return "imported/" + hex.EncodeToString(c[:])
}

// imported is the one use of imported material in this vault. It is kept for good:
// what material did under one usage stays in the world after it is gone.
type imported struct {
	Usage KeyUsage `json:"usage"`
	Spec  KeySpec  `json:"spec"`
}

// claim binds material to its CMK, and to usage and spec in this vault. The first
// mark is that of the CMK's own algorithm. Errors: ErrOtherMaterial if the CMK had other
// material, and ErrImport if the vault has this material for another usage or spec,
// because GenerateMac would compute the PRF of a CMK that encrypts.
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

// orElse returns err, or other if it is nil.
func orElse(err, other error) error {
	if err != nil {
		return err
	}
	return other
}
