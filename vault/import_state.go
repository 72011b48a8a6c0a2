package vault

import (
	"context"
	"time"

	"strongroom.example/driver"
	"strongroom.example/keystore"
)

const imports = "import/"

func importPathOf(key string) string { return imports + key }

// importState is what the vault keeps of the import of one CMK.
type importState struct {
	// Token is the newest import token that was issued.
	Token *issuedToken `json:"token,omitempty"`
	// Commitment binds the CMK to the material of its first import.
	Commitment []byte `json:"commitment,omitempty"`
}

// issuedToken is an import token as the vault remembers it.
type issuedToken struct {
	// Serial is the material id of the wrapping key.
	Serial string `json:"serial"`
	// Spec is what the driver knows the wrapping key as.
	Spec      driver.KeySpec    `json:"spec"`
	Driver    string            `json:"driver"`
	Path      ImportPath        `json:"path"`
	Algorithm WrappingAlgorithm `json:"algorithm"`
	ValidTo   time.Time         `json:"validTo"`
	SingleUse bool              `json:"singleUse,omitempty"`
	// Failed and Running count tries. What a crash cut off has failed.
	Failed  int `json:"failed,omitempty"`
	Running int `json:"running,omitempty"`
	// Tried: material was unwrapped with it, or tried to be.
	Tried bool `json:"tried,omitempty"`
	Used  bool `json:"used,omitempty"`
	// Gone: the wrapping key was removed.
	Gone bool `json:"gone,omitempty"`
}

// shortens reports whether the CMK has material that an import with this ValidTo would end
// sooner. Zero is never.
func (t *target) shortens(validTo time.Time) bool {
	return t.State == Enabled && !validTo.IsZero() && (t.ValidTo.IsZero() || validTo.Before(t.ValidTo))
}

// getImport reads what is kept of a CMK's import; nothing yet is no error.
func getImport(tx *keystore.Tx, key string) (importState, error) {
	path := importPathOf(key)
	if tx.Version(path) == 0 {
		return importState{}, nil
	}
	r, err := tx.Get(path)
	if err != nil {
		return importState{}, err
	}
	return decode[importState](path, r.Value)
}

// importOf reads what is kept of a CMK's import.
func (v *Vault) importOf(ctx context.Context, key string) (importState, error) {
	path := importPathOf(key)
	r, err := v.store.Get(ctx, path)
	if err != nil {
		return importState{}, missing(err, "import of key "+key)
	}
	return decode[importState](path, r.Value)
}
