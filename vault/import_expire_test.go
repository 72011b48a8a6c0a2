package vault

import (
	"errors"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
)

// importUntil makes a CMK whose material expires at the given time.
func importUntil(t *testing.T, c Client, at time.Time) (Key, *importFixture) {
	t.Helper()
	k := newExternal(t, c)
	p := newImportFixture(t, c, k, ownKey(1))
	m := p.material()
	m.ValidTo = at
	k = mustImport(t, c, k.ID, m)
	if !k.ValidTo.Equal(at) {
		t.Errorf("ValidTo %v, want %v", k.ValidTo, at)
	}
	return k, p
}

// TestExpiryIsExact: material can be used until ValidTo and not afterwards, even if the
// vault has not destroyed it yet.
func TestExpiryIsExact(t *testing.T) {
	v, c, fake, _ := newClockVault(t)
	ctx := t.Context()
	at := fake.Now().Add(time.Hour)
	k, _ := importUntil(t, c, at)
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	v.tasks.Schedule(importPathOf(k.ID), time.Time{}) // the background ticker is late
	fake.Advance(time.Hour - time.Nanosecond)
	if _, err := c.Decrypt(ctx, ct, nil); err != nil {
		t.Errorf("a nanosecond before: %v", err)
	}
	fake.Advance(time.Nanosecond)
	for _, back := range []time.Duration{0, 24 * time.Hour} {
		fake.Set(fake.Now().Add(-back))
		if _, err := c.Decrypt(ctx, ct, nil); !errors.Is(err, ErrKeyState) {
			t.Errorf("Decrypt at ValidTo with the clock set back by %v: %v, want ErrKeyState", back, err)
		}
		if k, err := c.DescribeKey(ctx, k.ID); err != nil || k.State != PendingImport {
			t.Errorf("DescribeKey: state %v, error %v, want PendingImport", k.State, err)
		}
	}
	for listed, err := range c.ListKeys(ctx, KeyFilter{State: PendingImport}) {
		if err != nil || listed.ID != k.ID {
			t.Errorf("ListKeys: %+v, error %v", listed, err)
		}
	}
	if err := c.EnableKeys(ctx, k.ID); !errors.Is(err, ErrKeyState) {
		t.Errorf("EnableKeys: %v, want ErrKeyState", err)
	}
	if err := c.SetAlias(ctx, k.ID, "late"); err != nil { // stores the key's description
		t.Fatal(err)
	}
	if len(v.store.Paths("material/")) == 0 {
		t.Fatal("the background ticker was not late")
	}
	mustExpire(t, v, k)
}

// TestExpiryWhileTagged: tagging a CMK continuously does not delay the expiry of its
// material.
func TestExpiryWhileTagged(t *testing.T) {
	v, c, fake, _ := newClockVault(t)
	at := fake.Now().Add(time.Hour)
	k, _ := importUntil(t, c, at)
	defer tagInBackground(t, c, k.ID, 8)()
	fake.Advance(time.Hour)
	mustExpire(t, v, k)
}

// mustExpire does the work of the background ticker and checks its result.
func mustExpire(t *testing.T, v *Vault, k Key) {
	t.Helper()
	if err := v.expire(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	if left := v.store.Paths("material/"); len(left) != 0 {
		t.Errorf("material remains: %q", left)
	}
	r := lastRecord(t, v.As(DefaultOwner), OpExpireKeyMaterial)
	if r.Result != audit.OK || r.Key != k.ID || r.Principal != string(principalVault) || r.Phase != audit.Outcome {
		t.Errorf("the record of the expiry is %+v", r)
	}
	stored, err := v.records.key(t.Context(), k.ID)
	if err != nil || stored.State != PendingImport || !stored.ValidTo.IsZero() {
		t.Errorf("the stored key is %+v, error %v", stored, err)
	}
}

// TestBackgroundExpires: the background ticker destroys expired material.
func TestBackgroundExpires(t *testing.T) {
	t.Parallel()
	v, c, fake, _ := newClockVault(t)
	k, p := importUntil(t, c, fake.Now().Add(time.Hour))
	fake.Advance(time.Hour)
	poll.Until(t, "the background ticker destroys the material", func() bool {
		return len(v.store.Paths("material/"))+len(v.store.Paths(intents)) == 0
	})
	refusedImport(t, c, k.ID, p.material(), "end of the material")
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
}

// TestExpiryAtOpen: material that expired while the vault was closed is destroyed during
// Open.
func TestExpiryAtOpen(t *testing.T) {
	v, c, fake, dir := newClockVault(t)
	k, _ := importUntil(t, c, fake.Now().Add(time.Hour))
	closeChecked(t, v)
	fake.Advance(time.Hour)
	v, err := Open(t.Context(), dir, v.cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	if left := v.store.Paths("material/"); len(left) != 0 {
		t.Errorf("material remains: %q", left)
	}
	if k, err := v.As(DefaultOwner).DescribeKey(t.Context(), k.ID); err != nil || k.State != PendingImport {
		t.Errorf("DescribeKey: state %v, error %v, want PendingImport", k.State, err)
	}
}

// TestValidToIsReplaced: an import of the same material sets a new ValidTo, even if the
// material has just expired and the ticker is late.
func TestValidToIsReplaced(t *testing.T) {
	t.Parallel()
	v, c, fake, _ := newClockVault(t)
	ctx := t.Context()
	k, p := importUntil(t, c, fake.Now().Add(time.Hour))
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	again := p.material()
	again.ValidTo = fake.Now().Add(3 * time.Hour)
	mustImport(t, c, k.ID, again)
	fake.Advance(2 * time.Hour)
	if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
		t.Errorf("Decrypt: %q, error %v", got, err)
	}
	next := newImportFixture(t, c, k, ownKey(1))
	v.tasks.Schedule(importPathOf(k.ID), time.Time{})
	fake.Advance(2 * time.Hour)
	if k := mustImport(t, c, k.ID, next.material()); !k.ValidTo.IsZero() || k.State != Enabled {
		t.Errorf("the key without ValidTo is %+v", k)
	}
	fake.Advance(1000 * time.Hour)
	if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
		t.Errorf("Decrypt without ValidTo: %q, error %v", got, err)
	}
	if r := lastRecord(t, c, OpExpireKeyMaterial); r.Result != audit.OK {
		t.Errorf("the expired material was not destroyed before the import: %+v", r)
	}
}

// TestDisabledKeyExpires: the material of a disabled CMK expires too.
func TestDisabledKeyExpires(t *testing.T) {
	v, c, fake, _ := newClockVault(t)
	k, _ := importUntil(t, c, fake.Now().Add(time.Hour))
	if err := c.DisableKeys(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	v.tasks.Schedule(importPathOf(k.ID), time.Time{})
	fake.Advance(time.Hour)
	mustExpire(t, v, k)
}

// TestNoBackgroundAfterFailedOpen: an Open that fails at its last step leaves no
// background goroutine; TestMain checks that.
func TestNoBackgroundAfterFailedOpen(t *testing.T) {
	t.Parallel()
	x, v := newCrashFixture(t, 1)
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	x.engine.Fault(func(keystore.Batch) error { return errors.New("disk is gone") })
	v, err := Open(t.Context(), x.dir, x.cfg, passphrase(t, "p"))
	if err == nil {
		v.Close()
		t.Fatal("Open succeeded although its record could not be written")
	}
	x.engine.Fault(nil)
	if !x.open(t, "afterwards") {
		t.Error("the material was destroyed")
	}
}
