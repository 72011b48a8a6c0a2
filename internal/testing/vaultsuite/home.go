package vaultsuite

import (
	"cmp"
	"context"
	"maps"
	"path/filepath"
	"testing"

	"strongroom.example/internal/testing/decisions"
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
	// decisions counts those of the vault's Authorizer, which close compares with the log.
	decisions *decisions.Counter
}

// newHome creates a vault. The vault, and then its drivers, are closed when t ends.
func newHome(t *testing.T, h Harness, cfg vault.Config) *home {
	t.Helper()
	x := &home{Harness: h, t: t, cfg: cfg, dir: filepath.Join(t.TempDir(), "vault"), made: map[row]made{}, decisions: decisions.New()}
	t.Cleanup(func() { x.closeDrivers(t) })
	v, err := vault.Create(t.Context(), x.dir, x.counted(x.watched(cfg)), h.protector(t))
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
func (x *home) owner() vault.Client { return x.vault.As(x.ownerName()) }

func (x *home) ownerName() vault.Principal { return cmp.Or(x.cfg.Owner, vault.DefaultOwner) }

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

// close closes the vault, and checks that every decision is on record and every key of the
// driver was closed.
func (x *home) close(t *testing.T) {
	t.Helper()
	if x.vault == nil {
		return
	}
	x.check(t)
	for _, missing := range x.unrecorded(t) {
		t.Errorf("not on record: %s", missing)
	}
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
	v, err := vault.Open(t.Context(), x.dir, x.counted(cfg), x.protector(t))
	if err != nil {
		t.Fatal(err)
	}
	x.vault = v
}

// calls returns the number of calls to the device for operations, 0 if there is no device.
func (x *home) calls() int {
	if x.device == nil {
		return 0
	}
	return x.device.callsForOperations()
}

// made is a shared key, with the attributes that the device returned when it created the
// key.
type made struct {
	key        vault.Key
	attributes map[string]string
}

// options returns the options for a new key on the device, if the device supports the row
// at all. An algorithm that the device runs slowly is used only if the options name the
// driver.
func (x *home) options(r row) vault.KeyOptions {
	o := vault.KeyOptions{Spec: r.spec, Usage: r.usage}
	if x.device == nil {
		return o
	}
	if can, ok := x.device.Info().Find(r.device); ok && can.Slow {
		o.Driver = x.driver()
	}
	return o
}

// createSymmetric creates an encryption key for one check.
func (x *home) createSymmetric(t *testing.T) vault.Key {
	t.Helper()
	return x.create(t, x.options(symmetricRow(x.cfg.Edition)))
}

// create creates a key for one check.
func (x *home) create(t *testing.T, o vault.KeyOptions) vault.Key {
	t.Helper()
	k, err := x.owner().CreateKey(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// key returns the shared key of a row, and creates it at the first call.
func (x *home) key(t *testing.T, r row) vault.Key {
	t.Helper()
	m, ok := x.made[r]
	if !ok {
		m.key = x.create(t, x.options(r))
		if x.device != nil && m.key.Driver == x.driver() {
			m.attributes = x.device.lastCreated().Attributes
		}
		x.made[r] = m
	}
	return m.key
}

// public returns the public key of the shared key of a row.
func (x *home) public(t *testing.T, r row) vault.PublicKey {
	t.Helper()
	return x.publicOf(t, x.key(t, r).ID)
}

func (x *home) publicOf(t *testing.T, key string) vault.PublicKey {
	t.Helper()
	p, err := x.owner().PublicKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
