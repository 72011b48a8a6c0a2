package importtoken

import (
	"encoding/hex"
	"fmt"
	"time"

	"strongroom.example/driver"
	"strongroom.example/vault/internal/deviceid"
	"strongroom.example/vault/internal/fault"
)

// MaxAttempts is the number of failed attempts after which a token is invalid.
const MaxAttempts = 5

// State is the stored state of the import of one CMK.
type State struct {
	// Newest is the newest import token, the only one that is valid.
	Newest *Issued `json:"token,omitempty"`
	// Commitment binds the CMK to the material of its first import.
	Commitment []byte `json:"commitment,omitempty"`
}

// Issued is the stored state of an import token.
type Issued struct {
	// Serial is the material id of the wrapping key.
	Serial string `json:"serial"`
	// Spec is the spec of the wrapping key in the driver.
	Spec   driver.KeySpec `json:"spec"`
	Driver string         `json:"driver"`
	// Device is the device in which the wrapping key is an object; nil if it is not known.
	Device *deviceid.Identity `json:"device,omitempty"`
	// Path is a vault.ImportPath, and Algorithm a vault.WrappingAlgorithm.
	Path      string    `json:"path"`
	Algorithm string    `json:"algorithm"`
	ValidTo   time.Time `json:"validTo"`
	SingleUse bool      `json:"singleUse,omitempty"`
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

// Begin counts an attempt with t, or returns the reason why it is not allowed.
func (s State) Begin(t Token, now time.Time) error {
	is := s.Newest
	switch {
	case is == nil || is.Serial != t.Serial.String():
		return fmt.Errorf("%w: a newer import token was issued for the CMK; use the newest", fault.ErrImportToken)
	case !now.Before(t.ValidTo):
		return fmt.Errorf("%w: the import token expired at %s", fault.ErrImportToken, t.ValidTo.Format(time.RFC3339))
	case t.ValidTo.After(now.Add(Life)):
		return fmt.Errorf("%w: the import token was issued while the clock was ahead; call ParametersForImport again", fault.ErrImportToken)
	case is.Used && is.SingleUse:
		return fmt.Errorf("%w: the import token was for a single use and is used", fault.ErrImportToken)
	case is.Failed >= MaxAttempts:
		return fmt.Errorf("%w: the import token is invalid after %d failed attempts", fault.ErrImportToken, MaxAttempts)
	case is.Failed+is.Running >= MaxAttempts:
		return fmt.Errorf("%w: all remaining attempts of the import token are in progress", fault.ErrThrottled)
	case is.Gone:
		return fmt.Errorf("%w: the import token became invalid with the end of the material; call ParametersForImport again", fault.ErrImportToken)
	}
	is.Running++
	is.Tried = true
	return nil
}

// Fail ends an attempt. It reports whether it was the last one that is allowed. An attempt
// does not count as failed if its cause was neither the token nor the material, or if the
// material unwrapped with authentication.
func (is *Issued) Fail(counts bool) (last bool) {
	is.Running--
	if counts {
		is.Failed++
	}
	return is.Failed >= MaxAttempts
}

// Succeed ends an attempt that imported material.
func (is *Issued) Succeed() {
	is.Running--
	is.Used = true
}

// WrappingKey returns the material id of the wrapping key. It returns false for a serial that
// is no id.
func (is *Issued) WrappingKey() (id driver.MaterialID, ok bool) {
	n, err := hex.Decode(id[:], []byte(is.Serial))
	return id, err == nil && n == len(id)
}
