package vault

import (
	"context"
	"time"

	"strongroom.example/driver"
	"strongroom.example/keystore"
)

const imports = "import/"

func importPathOf(key string) string { return imports + key }

// importState is the stored state of the import of one CMK.
type importState struct {
	// Token is the newest import token.
	Token *issuedToken `json:"token,omitempty"`
	// Commitment binds the CMK to the material of its first import.
	Commitment []byte `json:"commitment,omitempty"`
}

// issuedToken is the stored state of an import token.
type issuedToken struct {
	// Serial is the material id of the wrapping key.
	Serial string `json:"serial"`
	// Spec is the spec of the wrapping key in the driver.
	Spec      driver.KeySpec    `json:"spec"`
	Driver    string            `json:"driver"`
	Path      ImportPath        `json:"path"`
	Algorithm WrappingAlgorithm `json:"algorithm"`
	ValidTo   time.Time         `json:"validTo"`
	SingleUse bool              `json:"singleUse,omitempty"`
	// Failed and Running count attempts. An attempt that a crash interrupted counts as
	// failed.
	Failed  int `json:"failed,omitempty"`
	Running int `json:"running,omitempty"`
	// Tried: an attempt to unwrap material with it was made.
	Tried bool `json:"tried,omitempty"`
	Used  bool `json:"used,omitempty"`
	// Gone: the wrapping key was removed.
	Gone bool `json:"gone,omitempty"`
}

// shortens reports whether an import with this ValidTo would end the life of the CMK's
// material earlier. Zero means never.
func (t *target) shortens(validTo time.Time) bool {
	return t.State == Enabled && !validTo.IsZero() && (t.ValidTo.IsZero() || validTo.Before(t.ValidTo))
}

// getImport reads the state of a CMK's import. If there is none yet it returns the zero
// state and no error.
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

// importOf reads the stored state of a CMK's import.
func (v *Vault) importOf(ctx context.Context, key string) (importState, error) {
	path := importPathOf(key)
	r, err := v.store.Get(ctx, path)
	if err != nil {
		return importState{}, missing(err, "import of key "+key)
	}
	return decode[importState](path, r.Value)
}
