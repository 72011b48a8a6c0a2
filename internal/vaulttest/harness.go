package vaulttest

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// A Harness gives the suite access to a driver.
type Harness struct {
	// Config returns the Config of a new vault: edition, drivers and default driver. The
	// suite wraps the default driver to watch it and to make it fail. Config is called
	// once for each vault; t ends when the vault is no longer used. Authorizer must be
	// nil. The suite closes the drivers after the vault.
	Config func(t *testing.T) vault.Config
	// Reopen returns the Config for opening a vault again, with the same devices, newly
	// opened. The drivers of cfg, which Config or Reopen returned, have been closed; t is
	// the one of Config. If Reopen is nil, the drivers stay open while their vault is
	// closed and opened.
	Reopen func(t *testing.T, cfg vault.Config) vault.Config
	// Protector returns the protector of every vault. A protector from one call must open
	// a root that one from another call protected. If it is nil, the suite uses a
	// passphrase with low cost.
	Protector func(t *testing.T) driver.Protector
	// LeaveOut reports whether keys of a spec are left out, for example because a slow
	// device takes minutes to make them; the test log lists them. If it is nil, all specs
	// are tested. With -short, RSA keys above 2048 bits are left out too.
	LeaveOut func(spec vault.KeySpec) bool
}

// Run runs every check as a subtest.
func Run(t *testing.T, h Harness) {
	t.Helper()
	s := newSubject(t, h)
	for _, c := range checks() {
		t.Run(c.name, func(t *testing.T) {
			defer s.checkStores(t)
			c.run(t, s)
		})
	}
}

// A check tests one rule of the contract.
type check struct {
	name string
	run  func(t *testing.T, s *subject)
}

// checks lists the suite in order. Specs comes first, because it must see each kind of
// key being created, and DisableRacesEncrypt last, because it makes the log long.
func checks() []check {
	return []check{
		{"Specs", specs},
		{"Keys", keys},
		{"BadKeyOptions", badKeyOptions},
		{"Rotation", rotation},
		{"Ciphertexts", ciphertexts},
		{"DataKeys", dataKeys},
		{"Random", random},
		{"Macs", macs},
		{"Signatures", signatures},
		{"BadMessages", badMessages},
		{"OpenSSLVerifies", openSSLVerifies},
		{"Decryption", decryption},
		{"Padding", padding},
		{"OpenSSLEncrypts", openSSLEncrypts},
		{"Certificates", certificates},
		{"Decrypter", decrypter},
		{"Imports", imports},
		{"Wrappings", wrappings},
		{"OddKeys", oddKeys},
		{"Moves", moves},
		{"Refusals", refusals},
		{"Cancelled", cancelled},
		{"CancelledWhileWaiting", cancelledWhileWaiting},
		{"Interrupted", interrupted},
		{"Failures", failures},
		{"Audit", audits},
		{"DeviceFails", deviceFails},
		{"DeviceFailsToMakeKeys", deviceFailsToMakeKeys},
		{"DeviceAbsent", deviceAbsent},
		{"KeyReplaced", keyReplaced},
		{"Reopen", reopen},
		{"Backups", backups},
		{"Closed", closed},
		{"Concurrent", concurrent},
		{"DisableRacesEncrypt", disableRacesEncrypt},
	}
}

func (h Harness) protector(t *testing.T) driver.Protector {
	if h.Protector != nil {
		return h.Protector(t)
	}
	return soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("correct horse"))
}

// stranger returns a protector that opens no vault of the suite.
func stranger() driver.Protector {
	return soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("battery staple"))
}
