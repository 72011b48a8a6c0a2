package devicekey

import (
	"crypto/hmac"
	"fmt"

	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
	"strongroom.example/vault/internal/record"
)

// A Use is the one permitted use of imported material in a vault. It is kept after the
// material is deleted, because results that were computed for one usage continue to exist.
type Use struct {
	// Usage is a vault.KeyUsage, and Spec a vault.KeySpec.
	Usage string `json:"usage"`
	Spec  string `json:"spec"`
}

// Bind binds material to a CMK, and to one usage and spec in the vault. prints[0] is the
// fingerprint for the CMK's own algorithm. bound is what an earlier call returned for the CMK,
// or nil. Errors: ErrOtherMaterial if the CMK had other material; ErrImport if the vault has
// this material for another usage or spec, because GenerateMac would compute the PRF of a CMK
// that encrypts.
func (c Commitment) Bind(tx *keystore.Tx, key string, bound []byte, use Use, prints []Fingerprint) ([]byte, error) {
	now := c.ToKey(prints[0], key)
	if bound != nil && !hmac.Equal(bound, now) {
		return nil, fmt.Errorf("%w: the CMK accepts only the material of its first import", fault.ErrOtherMaterial)
	}
	for _, m := range prints {
		path := c.UsePath(m)
		if tx.Version(path) == 0 {
			tx.Put(path, record.Encode(use))
			continue
		}
		had, err := record.Read[Use](tx, path)
		if err != nil {
			return nil, err
		}
		if had != use {
			return nil, fmt.Errorf("%w: this vault has the same material for another usage or spec", fault.ErrImport)
		}
	}
	return now, nil
}
