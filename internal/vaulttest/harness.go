package vaulttest

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// A Harness is how the suite gets at a driver.
type Harness struct {
	// Config gives the Config of a new vault: edition, drivers and default driver,
	// which the suite wraps to watch it and to make it fail. It is called once for each
	// vault, at the end of whose life t ends. Authorizer stays nil. The suite closes the
	// drivers, after the vault.
	Config func(t *testing.T) vault.Config
	// Reopen gives the Config for opening a vault again: the same devices, opened anew.
	// The drivers of cfg, which Config or Reopen returned, are closed; t is Config's. Nil: the drivers
	// stay open while their vault is closed and opened.
	Reopen func(t *testing.T, cfg vault.Config) vault.Config
	// Protector gives the protector of every vault; what one call gives must open what
	// another protected. Nil: a passphrase that costs little.
	Protector func(t *testing.T) driver.Protector
	// LeaveOut names specs that are not made, such as those that a slow device takes
	// minutes to make; the log says which. Nil: all are made. Under -short RSA keys above
	// 2048 bits are left out as well.
	LeaveOut func(spec vault.KeySpec) bool
}

// Run runs every check as a sub-test.
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

// A check is one promise of the vault.
type check struct {
	name string
	run  func(t *testing.T, s *subject)
}

// checks lists the suite in order. Specs comes first, since it sees each kind of key
// made, and DisableRacesEncrypt last, since it makes the log long.
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

// stranger gives a protector that opens no vault of the suite.
func stranger() driver.Protector {
	return soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("battery staple"))
}
