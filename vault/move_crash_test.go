package vault

import (
	"path/filepath"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// moveFixture is a vault with an engine in memory and a CMK of four versions that moves to a
// device.
type moveFixture struct {
	crashFixture
	v      *Vault
	device *drivertest.Faulty
	key    string
	cts    [][]byte
}

func newMoveFixture(t *testing.T) *moveFixture {
	t.Helper()
	x := &moveFixture{device: drivertest.NewFaulty(drivertest.NewMemory())}
	x.engine, x.dir = storetest.NewMemory(), filepath.Join(t.TempDir(), "v")
	t.Cleanup(func() { x.device.Close() })
	x.cfg = Config{Edition: testEdition(), Drivers: map[string]driver.Driver{"hsm": x.device}}
	x.cfg.openEngine = func(dir string) (keystore.Engine, error) { return x.engine.Open(dir) }
	var err error
	if x.v, err = Create(t.Context(), x.dir, x.cfg, passphrase(t, "p")); err != nil {
		t.Fatal(err)
	}
	c := x.v.As(DefaultOwner)
	x.key = mustKey(t, c, KeyOptions{}).ID
	for len(x.cts) < 4 {
		if len(x.cts) > 0 {
			if _, err := c.RotateKey(t.Context(), x.key); err != nil {
				t.Fatal(err)
			}
		}
		ct, err := c.Encrypt(t.Context(), x.key, []byte("m"), nil)
		if err != nil {
			t.Fatal(err)
		}
		x.cts = append(x.cts, ct)
	}
	return x
}

// destroying reports whether the store has intents to destroy material.
func (x *moveFixture) destroying(t *testing.T) bool {
	t.Helper()
	for _, path := range x.v.store.Paths(intents) {
		in, err := x.v.intentAt(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if in.Destruction != nil && x.v.store.Version(materialPath(in.Material)) != 0 {
			return true
		}
	}
	return false
}

// reopen opens the vault, checks it, and reports whether the epoch of its material changed.
func (x *moveFixture) reopen(t *testing.T, what string) bool {
	t.Helper()
	before, err := keystore.ReadRoot(x.dir)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Open(t.Context(), x.dir, x.cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer closeChecked(t, v)
	x.check(t, v, what)
	return v.store.Root().Generation >= before.Generation+2
}

// check checks that every version is complete, in one place, and that no old material is
// left.
func (x *moveFixture) check(t *testing.T, v *Vault, what string) {
	t.Helper()
	for i, ct := range x.cts {
		if got, err := v.As(DefaultOwner).Decrypt(t.Context(), ct, nil); err != nil || string(got) != "m" {
			t.Errorf("%s: Decrypt with version %d: %q, error %v", what, i+1, got, err)
		}
	}
	if n, left := len(v.store.Paths("material/")), v.store.Paths(intents); n != len(x.cts) || len(left) != 0 {
		t.Errorf("%s: the store has %d materials and the intents %v", what, n, left)
	}
}
