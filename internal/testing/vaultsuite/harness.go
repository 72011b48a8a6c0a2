package vaultsuite

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
	// Other returns the Config of a vault with another device as its default driver: of the
	// same kind as that of Config, under the same name, and without keys. If it is nil, the
	// suite does not check what the vault does with such a device.
	Other func(t *testing.T) vault.Config
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

// A namedCheck tests one rule of the contract.
type namedCheck struct {
	name string
	run  func(t *testing.T, s *subject)
}

// checks lists the suite in order. Specs comes first, because it must see each kind of
// key being created, and DisableRacesEncrypt last, because it makes the log long.
func checks() []namedCheck {
	return []namedCheck{
		{"Specs", specs},
		{"Keys", keys},
		{"BadKeyOptions", badKeyOptions},
		{"Rotation", rotation},
		{"OwnRotation", ownRotation},
		{"Ciphertexts", ciphertexts},
		{"DataKeys", dataKeys},
		{"NamedDataKeys", namedDataKeys},
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
		{"DestructionFails", destructionFails},
		{"DestructionDies", destructionDies},
		{"DestructionWaits", destructionWaits},
		{"DestructionElsewhere", destructionElsewhere},
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

// softName is the vault's name for its software engine.
const softName = "soft"

// subject is the state that the checks share, because creating keys takes minutes on some
// devices.
type subject struct {
	Harness
	edition vault.Edition
	// shared has the default driver as the Harness returns it.
	shared *home
	// faulty has a default driver that can be made to fail. It is shared itself or, if
	// that uses the engine inside the vault, another vault with a software engine as its
	// device.
	faulty *home
	engine driver.Info // the software engine's, in this edition
	rows   []row       // all rows except those left out
}

func newSubject(t *testing.T, h Harness) *subject {
	t.Helper()
	cfg := h.Config(t)
	s := &subject{Harness: h, edition: cfg.Edition, engine: engineInfo(t, cfg.Edition)}
	s.shared = newHome(t, h, cfg)
	s.faulty = s.shared
	if builtIn(cfg) {
		h.Reopen = nil // the software engine inside the vault stays open
		s.faulty = newHome(t, h, asDevice(t, h.Config(t)))
	}
	for _, r := range allRows(cfg.Edition) {
		if testing.Short() && r.bits() > 2048 || h.LeaveOut != nil && h.LeaveOut(r.spec) {
			t.Logf("left out: %s", r)
			continue
		}
		s.rows = append(s.rows, r)
	}
	return s
}

// builtIn reports whether the default driver is the vault's own software engine.
func builtIn(cfg vault.Config) bool { return cfg.Driver == "" || cfg.Driver == softName }

// asDevice returns cfg with a software engine as its device.
func asDevice(t *testing.T, cfg vault.Config) vault.Config {
	t.Helper()
	engine, err := soft.Open(t.Context(), soft.Config{Edition: cfg.Edition})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Drivers, cfg.Driver = map[string]driver.Driver{"device": engine}, "device"
	return cfg
}

// engineInfo returns the software engine's Info.
func engineInfo(t *testing.T, e vault.Edition) driver.Info {
	t.Helper()
	engine, err := soft.Open(t.Context(), soft.Config{Edition: e})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	return engine.Info()
}

// info returns the Info of the default driver.
func (s *subject) info() driver.Info {
	if d := s.shared.device; d != nil {
		return d.Info()
	}
	return s.engine
}

// place returns the driver's name in x, and its table entry, for keys of a row. It
// returns false if no driver makes them in this edition.
func (s *subject) place(x *home, r row) (string, driver.SpecInfo, bool) {
	if s.edition == vault.FIPS && r.sm() {
		return "", driver.SpecInfo{}, false
	}
	if can, ok := s.info().Find(r.device); ok {
		return x.driver(), can, true
	}
	can, ok := s.engine.Find(r.device)
	return softName, can, ok
}

// usable returns the rows that some driver supports.
func (s *subject) usable() (out []row) {
	for _, r := range s.rows {
		if _, _, ok := s.place(s.shared, r); ok {
			out = append(out, r)
		}
	}
	return out
}

// each returns the first usable row of each usage.
func (s *subject) each() []row { return firsts(s.usable()) }

// eachOnDevice returns the first row of each usage that the device itself supports.
func (s *subject) eachOnDevice(t *testing.T) []row {
	t.Helper()
	var own []row
	for _, r := range s.usable() {
		if name, _, _ := s.place(s.faulty, r); name != softName {
			own = append(own, r)
		}
	}
	if len(own) == 0 {
		t.Fatal("the default driver has no spec that this edition uses")
	}
	return firsts(own)
}

func firsts(rows []row) (out []row) {
	seen := map[vault.KeyUsage]bool{}
	for _, r := range rows {
		if !seen[r.usage] {
			seen[r.usage] = true
			out = append(out, r)
		}
	}
	return out
}

// checkStores verifies the stored data of all vaults.
func (s *subject) checkStores(t *testing.T) {
	t.Helper()
	s.shared.check(t)
	if s.faulty != s.shared {
		s.faulty.check(t)
	}
}
