package vault

import (
	"errors"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/ciphertext"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/devicekey"
	"strongroom.example/vault/internal/editionrules"
)

// withoutCheck removes the check value from the record of a key's version 1, so that the
// record is like those of earlier versions of this package.
func withoutCheck(t *testing.T, v *Vault, key string) storedVersion {
	t.Helper()
	path := versionPath(key, 1)
	ver, err := v.records.version(t.Context(), key, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(ver.Check) != devicekey.CheckSize {
		t.Fatalf("the record of a new key has a check value of %d bytes, want %d", len(ver.Check), devicekey.CheckSize)
	}
	ver.Check = nil
	old := encode(ver)
	if strings.Contains(string(old), `"check"`) {
		t.Errorf("a record without a check value: %s", old)
	}
	if err := v.store.Commit(t.Context(), func(tx *keystore.Tx) error { tx.Put(path, old); return nil }); err != nil {
		t.Fatal(err)
	}
	return ver
}

// TestRecordWithoutCheckValue: a key whose record has no check value is accepted at its
// first use, which stores the value and is recorded. Another key in its place is rejected
// afterwards.
func TestRecordWithoutCheckValue(t *testing.T) {
	d := drivertest.NewMemory()
	v, dir := newTestVault(t, deviceConfig(d))
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	ver := withoutCheck(t, v, k.ID)
	id, err := ver.material()
	if err != nil {
		t.Fatal(err)
	}
	ct, err := c.Encrypt(ctx, k.ID, []byte("4711"), nil)
	if err != nil {
		t.Fatal(err)
	}
	pinned := lastRecord(t, c, OpPinKey)
	if pinned.Key != k.ID || pinned.Result != audit.OK || pinned.Principal != string(principalVault) || pinned.KeyVersion != 1 {
		t.Errorf("the record of the stored check value: %+v", pinned)
	}
	if _, err := c.Decrypt(ctx, ct, nil); err != nil {
		t.Error(err)
	}
	if n := records(t, c, OpPinKey); n != 1 {
		t.Errorf("%d check values were stored, want 1", n)
	}
	closeChecked(t, v)
	if err := d.DestroyKey(ctx, id, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := d.ImportKey(ctx, id, ver.spec(), make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	v, err = Open(ctx, dir, deviceConfig(d), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	if _, err := c.Decrypt(ctx, ct, nil); !errors.Is(err, ErrKeyReplaced) {
		t.Errorf("Decrypt by another key in the place of the CMK's: %v, want ErrKeyReplaced", err)
	}
	if _, err := c.Encrypt(ctx, k.ID, []byte("4711"), nil); !errors.Is(err, ErrKeyReplaced) {
		t.Errorf("Encrypt by another key in the place of the CMK's: %v, want ErrKeyReplaced", err)
	}
}

// TestEveryMadeKeyHasCheckValue: generated, rotated, imported and moved keys of a device
// have check values of their own. Keys of the software engine have none.
func TestEveryMadeKeyHasCheckValue(t *testing.T) {
	v, _ := newTestVault(t, deviceConfig(drivertest.NewMemory()))
	c, ctx := v.As(DefaultOwner), t.Context()
	made := mustKey(t, c, KeyOptions{})
	if _, err := c.RotateKey(ctx, made.ID); err != nil {
		t.Fatal(err)
	}
	imported := mustKey(t, c, KeyOptions{Origin: OriginExternal})
	mustImport(t, c, imported.ID, newImportFixture(t, c, imported, ownKey(1)).material())
	moved := mustKey(t, c, KeyOptions{Driver: softDriver})
	check := func(key string, n uint32) string {
		ver, err := v.records.version(ctx, key, n)
		if err != nil {
			t.Fatal(err)
		}
		return string(ver.Check)
	}
	if got := check(moved.ID, 1); got != "" {
		t.Errorf("a key of the software engine has a check value of %d bytes, want none", len(got))
	}
	if _, err := c.MoveKey(ctx, moved.ID, "hsm"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for what, got := range map[string]string{"generated": check(made.ID, 1), "rotated": check(made.ID, 2), "imported": check(imported.ID, 1), "moved": check(moved.ID, 1)} {
		if len(got) != devicekey.CheckSize || seen[got] != "" {
			t.Errorf("the check value of a key that was %s: %d bytes, the same as that of %q", what, len(got), seen[got])
		}
		seen[got] = what
	}
	// An import of the same material with another expiry does not change the record.
	mustImport(t, c, imported.ID, newImportFixture(t, c, imported, ownKey(1)).material())
	if _, err := c.Encrypt(ctx, imported.ID, nil, nil); err != nil {
		t.Error(err)
	}
}

// TestCheckInputIsNoMessage: the input of the check value differs from every input with
// which a message's key is derived, because those begin with a counter of four bytes.
func TestCheckInputIsNoMessage(t *testing.T) {
	in := ciphertext.Header{Suite: editionrules.SuiteOf(testEdition())}.PRFInput(nil)
	if string(in[:4]) != "\x00\x00\x00\x01" || strings.HasPrefix(devicekey.CheckInput, string(in[:4])) || len(in) == len(devicekey.CheckInput) {
		t.Errorf("the PRF's input for a message, %x, may be that of the check value, %q", in, devicekey.CheckInput)
	}
	if devicekey.CheckInput == devicekey.FingerprintInput {
		t.Error("check value and import mark have one input")
	}
}
