// Package doctor looks for what makes vaults fail in the field: on the machine, in devices,
// and in the vault itself. Each finding says what to do.
package doctor

import (
	"errors"

	"strongroom.example/vault"
)

// A Level is the weight of a finding.
type Level string

// The levels. A Note needs no action.
const (
	OK   Level = "ok"
	Note Level = "note"
	Warn Level = "warn"
	Fail Level = "fail"
)

// A Finding is one thing that was looked at.
type Finding struct {
	Level Level  `json:"level"`
	Area  string `json:"area"`
	Text  string `json:"text"`
	// Remedy says what to do; empty for OK.
	Remedy string `json:"remedy,omitempty"`
}

// NeedsAction reports whether a finding is more than a note.
func (f Finding) NeedsAction() bool { return f.Level == Warn || f.Level == Fail }

// Unopened returns the finding for a vault that did not open.
func Unopened(err error) Finding {
	switch {
	case errors.Is(err, vault.ErrInUse):
		return Finding{Note, "vault", err.Error(), "close the program for a full examination; it reports its own health by Vault.Health"}
	case errors.Is(err, vault.ErrNoVault):
		return Finding{Fail, "vault", err.Error(), "mount the directory, or put back what is missing from a copy; for a new vault only: strongroom init"}
	case errors.Is(err, vault.ErrCorrupt), errors.Is(err, vault.ErrRolledBack):
		return Finding{Fail, "vault", err.Error(), "copy the directory, then use strongroom repair, or restore a backup"}
	}
	return Finding{Fail, "vault", err.Error(), "do what the error names"}
}
