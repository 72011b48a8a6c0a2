package vaultmodel

import (
	"slices"
	"time"

	"strongroom.example/vault"
)

// keyModel is the reference for one CMK.
type keyModel struct {
	id       string
	aliases  []string
	external bool
	state    vault.KeyState // without regard to an expiry in doubt
	material bool
	versions uint32
	validTo  time.Time
	date     time.Time // of the destruction
	made     []sealed  // ciphertexts

	plain   []byte // the material that is imported
	token   *wrapped
	expired bool // by a time in doubt
}

// sealed is a ciphertext with its plaintext.
type sealed struct{ ciphertext, plaintext []byte }

// shown returns the state that the vault reports at the time of m.
func (k *keyModel) shown(m *timeModel) vault.KeyState {
	k.expired = k.material && !k.validTo.IsZero() && !m.now().Before(k.validTo)
	if k.expired && k.state != vault.PendingDeletion {
		return vault.PendingImport
	}
	return k.state
}

// settle does what the vault does by itself at the time of m, and reports whether it did
// anything.
func (k *keyModel) settle(m *timeModel) (did bool) {
	if k.material && !k.validTo.IsZero() && !m.confirmed.Before(k.validTo) {
		k.lose()
		did = true
	}
	if k.state == vault.PendingDeletion && !m.confirmed.Before(k.date) {
		k.state, k.material, k.token, k.aliases, did = vault.Destroyed, false, nil, nil, true
	}
	return did
}

// lose removes the material.
func (k *keyModel) lose() {
	k.material, k.validTo, k.token = false, time.Time{}, nil
	if k.state != vault.PendingDeletion {
		k.state = vault.PendingImport
	}
}

// in reports whether the state is one of those.
func in(s vault.KeyState, those ...vault.KeyState) bool { return slices.Contains(those, s) }
