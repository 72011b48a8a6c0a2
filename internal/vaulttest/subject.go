package vaulttest

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

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
	engine, err := soft.New(soft.Config{Edition: cfg.Edition})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Drivers, cfg.Driver = map[string]driver.Driver{"device": engine}, "device"
	return cfg
}

// engineInfo returns the software engine's Info.
func engineInfo(t *testing.T, e vault.Edition) driver.Info {
	t.Helper()
	engine, err := soft.New(soft.Config{Edition: e})
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
