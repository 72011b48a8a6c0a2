package vaulttest

import (
	"context"
	"maps"
	"path/filepath"
	"testing"

	"strongroom.example/vault"
)

// home is one vault, with its drivers and the keys shared by the checks.
type home struct {
	Harness
	t      *testing.T   // the vault is closed when t ends
	cfg    vault.Config // as the Harness returned it
	dir    string
	device *device // the default driver; nil for the software engine inside the vault
	vault  *vault.Vault
	made   map[row]made
}

// newHome creates a vault. The vault, and then its drivers, are closed when t ends.
func newHome(t *testing.T, h Harness, cfg vault.Config) *home {
	t.Helper()
	x := &home{Harness: h, t: t, cfg: cfg, dir: filepath.Join(t.TempDir(), "vault"), made: map[row]made{}}
	t.Cleanup(func() { x.closeDrivers(t) })
	v, err := vault.Create(t.Context(), x.dir, x.watched(cfg), h.protector(t))
	if err != nil {
		t.Fatal(err)
	}
	x.vault = v
	t.Cleanup(func() { x.close(t) })
	return x
}

// watched returns cfg with the default driver wrapped in a device.
func (x *home) watched(cfg vault.Config) vault.Config {
	if builtIn(cfg) {
		return cfg
	}
	x.device = newDevice(cfg.Drivers[cfg.Driver])
	cfg.Drivers = maps.Clone(cfg.Drivers)
	cfg.Drivers[cfg.Driver] = x.device
	return cfg
}

// driver returns the name of the default driver.
func (x *home) driver() string {
	if builtIn(x.cfg) {
		return softName
	}
	return x.cfg.Driver
}

// owner returns a Client for the owner of the vault.
func (x *home) owner() vault.Client {
	if x.cfg.Owner != "" {
		return x.vault.As(x.cfg.Owner)
	}
	return x.vault.As(vault.DefaultOwner)
}

// check verifies all stored data.
func (x *home) check(t *testing.T) {
	t.Helper()
	if x.vault == nil {
		return
	}
	if err := x.owner().Check(context.Background()); err != nil {
		t.Errorf("Check: %v", err)
	}
}

// close closes the vault and checks that every key of the driver was closed.
func (x *home) close(t *testing.T) {
	t.Helper()
	if x.vault == nil {
		return
	}
	x.check(t)
	if err := x.vault.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	x.vault = nil
	if x.device == nil {
		return
	}
	if n := x.device.open.Load(); n != 0 {
		t.Errorf("%d keys of the driver are open after Close, want 0", n)
	}
}

func (x *home) closeDrivers(t *testing.T) {
	t.Helper()
	for name, d := range x.cfg.Drivers {
		if err := d.Close(); err != nil {
			t.Errorf("Close of driver %s: %v", name, err)
		}
	}
}

// reopen closes the vault and opens it, like a program that restarts.
func (x *home) reopen(t *testing.T) {
	t.Helper()
	x.close(t)
	x.open(t)
}

// open opens the closed vault.
func (x *home) open(t *testing.T) {
	t.Helper()
	if x.Reopen != nil {
		x.closeDrivers(t)
		x.cfg = x.Reopen(x.t, x.cfg)
	}
	x.openAs(t, x.watched(x.cfg))
}

func (x *home) openAs(t *testing.T, cfg vault.Config) {
	t.Helper()
	v, err := vault.Open(t.Context(), x.dir, cfg, x.protector(t))
	if err != nil {
		t.Fatal(err)
	}
	x.vault = v
}

// calls returns the number of calls to the device, 0 if there is none.
func (x *home) calls() int {
	if x.device == nil {
		return 0
	}
	return x.device.Calls("")
}
