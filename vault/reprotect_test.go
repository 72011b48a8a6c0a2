package vault

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
)

// fakeTPMProtector is a protector that is bound to a device that can be cleared.
type fakeTPMProtector struct {
	owner []byte
	fails error
}

func (*fakeTPMProtector) Kind() string       { return "chip" }
func (*fakeTPMProtector) MachineBound() bool { return true }

func (c *fakeTPMProtector) Protect(_ context.Context, _ driver.Binding, root []byte) (driver.Blob, error) {
	if c.fails != nil {
		return nil, c.fails
	}
	blob := append(driver.Blob(nil), c.owner...)
	for _, b := range root {
		blob = append(blob, b^0x5c) // no secrecy is needed in a test
	}
	return blob, nil
}

func (c *fakeTPMProtector) Recover(_ context.Context, dst []byte, _ driver.Binding, blob driver.Blob) ([]byte, error) {
	if !bytes.HasPrefix(blob, c.owner) {
		return nil, &driver.Error{Op: "Recover", Class: driver.Denied, Err: driver.ErrWrongDevice}
	}
	for _, b := range blob[len(c.owner):] {
		dst = append(dst, b^0x5c)
	}
	return dst, nil
}

// TestWrongDevice: beside another device, Open fails and the error says why. With a
// passphrase it succeeds, and from then on the new device opens the vault alone.
func TestWrongDevice(t *testing.T) {
	ctx, dir, cfg := t.Context(), filepath.Join(t.TempDir(), "v"), testConfig()
	old, fresh, word := &fakeTPMProtector{owner: []byte("old.")}, &fakeTPMProtector{owner: []byte("new.")}, passphrase(t, "p")
	v, err := Create(ctx, dir, cfg, old, word)
	if err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	if _, err := Open(ctx, dir, cfg, fresh); !errors.Is(err, ErrWrongDevice) || !errors.Is(err, ErrUnlock) {
		t.Fatalf("on another machine: %v", err)
	}
	open := func(p ...driver.Protector) *Vault {
		t.Helper()
		v, err := Open(ctx, dir, cfg, p...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { closeChecked(t, v) })
		return v
	}
	v = open(fresh, word)
	if n := len(healings(t, v, audit.OK)); n != 1 {
		t.Errorf("%d records of HealProtector, want 1", n)
	}
	if entries, err := v.As(DefaultOwner).ListProtectors(ctx); err != nil || len(entries) != 2 {
		t.Errorf("%d protectors, error %v; the stale one must be replaced", len(entries), err)
	}
	closeChecked(t, v)
	v = open(fresh)
	closeChecked(t, v)
	if _, err := Open(ctx, dir, cfg, old); !errors.Is(err, ErrWrongDevice) {
		t.Errorf("by the device of before: %v", err)
	}
}

// TestReprotectFails: a device that cannot protect the root does not keep Open from succeeding.
func TestReprotectFails(t *testing.T) {
	ctx, dir, cfg := t.Context(), filepath.Join(t.TempDir(), "v"), testConfig()
	word := passphrase(t, "p")
	v, err := Create(ctx, dir, cfg, &fakeTPMProtector{owner: []byte("old.")}, word)
	if err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	broken := &fakeTPMProtector{owner: []byte("new."), fails: &driver.Error{Op: "Protect", Class: driver.Denied}}
	if v, err = Open(ctx, dir, cfg, broken, word); err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	if n := len(healings(t, v, audit.Failed)); n != 1 {
		t.Errorf("%d records of a failed HealProtector, want 1", n)
	}
}

// TestReprotectAdds: in a vault with protectors of several machines, a new protector does not
// replace any.
func TestReprotectAdds(t *testing.T) {
	ctx, dir, cfg := t.Context(), filepath.Join(t.TempDir(), "v"), testConfig()
	word := passphrase(t, "p")
	v, err := Create(ctx, dir, cfg, &fakeTPMProtector{owner: []byte("one.")}, &fakeTPMProtector{owner: []byte("two.")}, word)
	if err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	if v, err = Open(ctx, dir, cfg, &fakeTPMProtector{owner: []byte("new.")}, word); err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	for _, owner := range []string{"one.", "two.", "new."} {
		if v, err = Open(ctx, dir, cfg, &fakeTPMProtector{owner: []byte(owner)}); err != nil {
			t.Fatalf("Open with the chip of %s: %v", owner, err)
		}
		closeChecked(t, v)
	}
}

func healings(t *testing.T, v *Vault, want audit.Result) (out []audit.Record) {
	t.Helper()
	for r, err := range v.As(DefaultOwner).AuditRecords(t.Context(), audit.Filter{Operation: string(OpHealProtector), Result: want}) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}
