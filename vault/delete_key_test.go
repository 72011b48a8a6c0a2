package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/testing/fakedriver"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
)

// newDeletionVault makes a vault with a device that fails on demand and a clock that the
// test sets.
func newDeletionVault(t *testing.T) (*Vault, Client, *drivertest.Faulty, *drivertest.Memory, *clock.Fake, string) {
	t.Helper()
	device := drivertest.NewMemory()
	faulty := drivertest.NewFaulty(device)
	fake := clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	cfg := deviceConfig(faulty)
	cfg.Clock = fake
	v, dir := newTestVault(t, cfg)
	return v, v.As(DefaultOwner), faulty, device, fake, dir
}

// mustSchedule disables a CMK and schedules its deletion.
func mustSchedule(t *testing.T, c Client, key string, days int) Key {
	t.Helper()
	if err := c.DisableKeys(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	k, err := c.ScheduleKeyDeletion(t.Context(), key, days)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// runDeletion runs the background task of a deletion, until the CMK has the state that is
// wanted, and returns the CMK. The background ticker may run the task at the same time.
func runDeletion(t *testing.T, c Client, key string, want KeyState) (k Key) {
	t.Helper()
	poll.Until(t, "the key is "+string(want), func() bool {
		c.vault.tasks.RunAll(t.Context(), []string{deletionPath(key)})
		var err error
		if k, err = c.DescribeKey(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		return k.State == want
	})
	return k
}

// runIntents runs the background tasks of the intents until none is left.
func runIntents(t *testing.T, c Client) {
	t.Helper()
	poll.Until(t, "no intent is left", func() bool {
		paths := c.vault.store.Paths(intents)
		c.vault.tasks.RunAll(t.Context(), paths)
		return len(paths) == 0
	})
}

// materialsOf returns how many materials of a CMK the store has.
func materialsOf(t *testing.T, v *Vault, k Key) (n int) {
	t.Helper()
	for i := range k.Version {
		ver, err := v.records.version(t.Context(), k.ID, i+1)
		if err != nil {
			t.Fatal(err)
		}
		id, err := ver.material()
		if err == nil && v.store.Version(materialPath(id)) != 0 {
			n++
		}
	}
	return n
}

// TestScheduleKeyDeletion: each kind of CMK is destroyed after the waiting period and not
// before, in the store and in the device.
func TestScheduleKeyDeletion(t *testing.T) {
	t.Parallel()
	v, c, _, device, fake, dir := newDeletionVault(t)
	ctx := t.Context()
	keep := mustKey(t, c, KeyOptions{})
	kinds := map[string]Key{
		"resident":  mustKey(t, c, KeyOptions{Alias: "resident"}),
		"wrapped":   mustKey(t, c, KeyOptions{Driver: softDriver, Alias: "wrapped"}),
		"signature": mustKey(t, c, KeyOptions{Usage: SignVerify, Spec: ECCP256, Driver: softDriver}),
		"imported":  newExternal(t, c),
	}
	if testEdition() == SM {
		delete(kinds, "signature")
	}
	imported := kinds["imported"]
	mustImport(t, c, imported.ID, newImportFixture(t, c, imported, ownKey(1)).material())
	for _, name := range []string{"resident", "wrapped"} {
		for range 3 {
			if _, err := c.RotateKey(ctx, kinds[name].ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := objects(t, device)
	for name, k := range kinds {
		if got := mustSchedule(t, c, k.ID, 7); got.State != PendingDeletion || !got.DeletionDate.Equal(fake.Now().Add(7*day)) {
			t.Errorf("%s: ScheduleKeyDeletion returned %+v", name, got)
		}
	}
	fake.Advance(7*day - time.Nanosecond)
	for name, k := range kinds {
		if got := runDeletion(t, c, k.ID, PendingDeletion); objects(t, device) != before {
			t.Errorf("%s: a nanosecond before the date: %+v", name, got)
		}
	}
	fake.Advance(time.Nanosecond)
	for name, k := range kinds {
		if err := c.CancelKeyDeletion(ctx, k.ID); !errors.Is(err, ErrKeyState) {
			t.Errorf("%s: CancelKeyDeletion at the date: %v, want ErrKeyState", name, err)
		}
		if k.Origin == OriginExternal { // the wrapping key of its import is in the device
			runDeletion(t, c, k.ID, PendingDeletion)
			runIntents(t, c)
		}
		got := runDeletion(t, c, k.ID, Destroyed)
		if !got.Destroyed.Equal(fake.Now()) || got.Alias != "" || materialsOf(t, v, got) != 0 {
			t.Errorf("%s: at the date: %+v, %d materials", name, got, materialsOf(t, v, got))
		}
		if _, err := c.ListKeyVersions(ctx, k.ID); err != nil {
			t.Errorf("%s: ListKeyVersions: %v", name, err)
		}
		checkDestroyRecords(t, c, k.ID)
	}
	if n := objects(t, device); n != 1 {
		t.Errorf("the device has %d objects, want that of the other key", n)
	}
	mustKey(t, c, KeyOptions{Alias: "resident"})
	if left := v.store.Paths(deletions); len(left) != 0 {
		t.Errorf("records of deletions remain: %q", left)
	}
	closeChecked(t, v)
	v, err := Open(ctx, dir, v.cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	for name, k := range kinds {
		if got, err := v.As(DefaultOwner).DescribeKey(ctx, k.ID); err != nil || got.State != Destroyed {
			t.Errorf("%s after Open: %+v, error %v", name, got, err)
		}
	}
	if _, err := v.As(DefaultOwner).Encrypt(ctx, keep.ID, nil, nil); err != nil {
		t.Errorf("Encrypt with another key: %v", err)
	}
}

// checkDestroyRecords checks that one intent and one outcome of DestroyKey are on record.
func checkDestroyRecords(t *testing.T, c Client, key string) {
	t.Helper()
	var got []audit.Record
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{Operation: string(OpDestroyKey), Key: key}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	ok := len(got) == 2 && got[0].Phase == audit.Intent && got[1].Phase == audit.Outcome && got[1].Intent == got[0].Seq &&
		got[1].Result == audit.OK && got[1].Principal == string(principalVault)
	if !ok {
		t.Errorf("the records of the destruction of %s: %+v", key, got)
	}
}

// TestScheduleKeyDeletionRefused: only a Disabled or PendingImport CMK can be scheduled, for
// 7 to 30 days.
func TestScheduleKeyDeletionRefused(t *testing.T) {
	t.Parallel()
	_, c, _, _, fake, _ := newDeletionVault(t)
	ctx := t.Context()
	k := mustKey(t, c, KeyOptions{})
	if _, err := c.ScheduleKeyDeletion(ctx, k.ID, 7); !errors.Is(err, ErrKeyState) {
		t.Errorf("ScheduleKeyDeletion while Enabled: %v, want ErrKeyState", err)
	}
	if err := c.DisableKeys(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	for _, days := range []int{-7, 0, 6, 31, 1 << 30} {
		if _, err := c.ScheduleKeyDeletion(ctx, k.ID, days); !errors.Is(err, ErrInvalid) {
			t.Errorf("ScheduleKeyDeletion in %d days: %v, want ErrInvalid", days, err)
		}
	}
	for _, days := range []int{MinDeletionDays, MaxDeletionDays} {
		got, err := c.ScheduleKeyDeletion(ctx, k.ID, days)
		if err != nil || !got.DeletionDate.Equal(fake.Now().Add(time.Duration(days)*day)) {
			t.Errorf("ScheduleKeyDeletion in %d days: %+v, error %v", days, got, err)
		}
		if err := c.CancelKeyDeletion(ctx, k.ID); err != nil {
			t.Errorf("CancelKeyDeletion: %v", err)
		}
	}
}

// TestCancelKeyDeletion: a CMK whose deletion is cancelled is as it was, also if it was
// scheduled for a time that has passed since.
func TestCancelKeyDeletion(t *testing.T) {
	t.Parallel()
	_, c, _, _, fake, _ := newDeletionVault(t)
	ctx := t.Context()
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	mustSchedule(t, c, k.ID, 7)
	if err := c.CancelKeyDeletion(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ScheduleKeyDeletion(ctx, k.ID, 30); err != nil {
		t.Fatal(err)
	}
	fake.Advance(8 * day)
	runDeletion(t, c, k.ID, PendingDeletion)
	if err := c.CancelKeyDeletion(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	fake.Advance(60 * day)
	if got := runDeletion(t, c, k.ID, Disabled); !got.DeletionDate.IsZero() {
		t.Errorf("after the dates of cancelled deletions: %+v", got)
	}
	if err := c.EnableKeys(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
		t.Errorf("Decrypt: %q, error %v", got, err)
	}
}

// TestDeletionWithoutMaterial: a CMK that never had material is destroyed too.
func TestDeletionWithoutMaterial(t *testing.T) {
	t.Parallel()
	_, c, _, _, fake, _ := newDeletionVault(t)
	k, err := c.ScheduleKeyDeletion(t.Context(), newExternal(t, c).ID, 7)
	if err != nil {
		t.Fatal(err)
	}
	fake.Advance(k.DeletionDate.Sub(fake.Now()))
	runDeletion(t, c, k.ID, Destroyed)
	checkDestroyRecords(t, c, k.ID)
}

// TestCancelAfterExpiry: imported material that expires while its CMK is PendingDeletion is
// gone after CancelKeyDeletion.
func TestCancelAfterExpiry(t *testing.T) {
	t.Parallel()
	v, c, _, _, fake, _ := newDeletionVault(t)
	k, _ := importUntil(t, c, fake.Now().Add(time.Hour))
	mustSchedule(t, c, k.ID, 7)
	fake.Advance(time.Hour)
	if err := v.expire(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	if err := c.CancelKeyDeletion(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := c.DescribeKey(t.Context(), k.ID); err != nil || got.State != PendingImport {
		t.Errorf("DescribeKey: %+v, error %v, want PendingImport", got, err)
	}
}

// TestDeletionIsVerified: a CMK is not Destroyed while the device still has its material, or
// fails, or is absent for the whole waiting period.
func TestDeletionIsVerified(t *testing.T) {
	t.Parallel()
	v, c, _, device, fake, dir := newDeletionVault(t)
	ctx := t.Context()
	k := mustKey(t, c, KeyOptions{})
	mustSchedule(t, c, k.ID, 7)
	cfg := v.cfg
	cfg.Drivers, cfg.Driver = nil, ""
	closeChecked(t, v)
	fake.Advance(40 * day)
	v, err := Open(ctx, dir, cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	fake.Advance(clock.Leap) // the vault was closed for long
	runDeletion(t, v.As(DefaultOwner), k.ID, PendingDeletion)
	closeChecked(t, v)
	var keeps atomic.Bool // the device reports a destruction that it does not perform
	keeps.Store(true)
	faulty := drivertest.NewFaulty(device)
	cfg.Drivers = map[string]driver.Driver{"hsm": &fakedriver.Driver{Device: faulty,
		OnDestroyKey: func(ctx context.Context, id driver.MaterialID, blob driver.Blob) error {
			if keeps.Load() {
				return nil
			}
			return faulty.DestroyKey(ctx, id, blob)
		}}}
	if v, err = Open(ctx, dir, cfg, passphrase(t, "correct horse")); err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	if got := runDeletion(t, c, k.ID, PendingDeletion); objects(t, device) != 1 {
		t.Errorf("the device keeps the key: %+v", got)
	}
	if err := c.CancelKeyDeletion(ctx, k.ID); !errors.Is(err, ErrKeyState) {
		t.Errorf("CancelKeyDeletion after the destruction began: %v, want ErrKeyState", err)
	}
	keeps.Store(false)
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown, Nth: 1})
	runDeletion(t, c, k.ID, PendingDeletion)
	if got := runDeletion(t, c, k.ID, Destroyed); objects(t, device) != 0 {
		t.Errorf("the device works again: %+v, %d objects", got, objects(t, device))
	}
	checkDestroyRecords(t, c, k.ID)
}

// TestDeletionWaitsForIntents: a CMK is not Destroyed while an earlier deletion of its
// material is not finished.
func TestDeletionWaitsForIntents(t *testing.T) {
	t.Parallel()
	_, c, faulty, device, fake, _ := newDeletionVault(t)
	ctx := t.Context()
	k := newExternal(t, c)
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown})
	if err := c.DeleteImportedKeyMaterial(ctx, k.ID); err == nil {
		t.Fatal("DeleteImportedKeyMaterial with a device that fails: nil, want an error")
	}
	if _, err := c.ScheduleKeyDeletion(ctx, k.ID, 7); err != nil {
		t.Fatal(err)
	}
	fake.Advance(7 * day)
	runDeletion(t, c, k.ID, PendingDeletion)
	faulty.Clear()
	runIntents(t, c)
	if got := runDeletion(t, c, k.ID, Destroyed); objects(t, device) != 0 {
		t.Errorf("after the earlier deletion: %+v, %d objects", got, objects(t, device))
	}
}

// TestDeletionKilledAtEachCommit interrupts a destruction before each batch of the store.
// Open completes it, and never revives the CMK.
func TestDeletionKilledAtEachCommit(t *testing.T) {
	t.Parallel()
	x, v := newCrashFixture(t, 2)
	fake := clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	x.cfg.Clock = fake
	v, err := Open(t.Context(), x.dir, x.cfg, passphrase(t, "p"))
	if err != nil {
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	k := mustSchedule(t, c, mustKey(t, c, KeyOptions{Alias: "scheduled"}).ID, 7)
	v.tasks.Schedule(deletionPath(k.ID), time.Time{}) // this test runs the task
	fake.Advance(k.DeletionDate.Sub(fake.Now()))
	var cuts []faultyEngine
	x.engine.Fault(func(keystore.Batch) error {
		cuts = append(cuts, x.disk(t))
		return nil
	})
	runDeletion(t, c, k.ID, Destroyed)
	x.engine.Fault(nil)
	cuts = append(cuts, x.disk(t))
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if len(cuts) < 5 {
		t.Errorf("the destruction took %d batches, want 4 or more", len(cuts)-1)
	}
	for i, cut := range cuts {
		x.restore(t, cut)
		what := fmt.Sprintf("cut before batch %d of %d", i, len(cuts)-1)
		v, err := Open(t.Context(), x.dir, x.cfg, passphrase(t, "p"))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got := runDeletion(t, v.As(DefaultOwner), k.ID, Destroyed)
		if materialsOf(t, v, got) != 0 || len(v.store.Paths(deletions))+len(v.store.Paths(intents)) != 0 {
			t.Errorf("%s: %+v", what, got)
		}
		checkDestroyRecords(t, v.As(DefaultOwner), k.ID)
		for _, ct := range x.remaining {
			if _, err := v.As(DefaultOwner).Decrypt(t.Context(), ct, nil); err != nil {
				t.Errorf("%s: Decrypt with another key: %v", what, err)
			}
		}
		closeChecked(t, v)
	}
}

// TestArchiveKey: an archived CMK decrypts and verifies, and does nothing else that needs its
// material.
func TestArchiveKey(t *testing.T) {
	t.Parallel()
	_, c, _, _, _, _ := newDeletionVault(t)
	ctx := t.Context()
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ArchiveKey(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
		t.Errorf("Decrypt while Archived: %q, error %v", got, err)
	}
	for name, err := range map[string]error{
		"Encrypt":             second(c.Encrypt(ctx, k.ID, nil, nil)),
		"RotateKey":           second(c.RotateKey(ctx, k.ID)),
		"ScheduleKeyDeletion": second(c.ScheduleKeyDeletion(ctx, k.ID, 7)),
		"EnableKeys":          c.EnableKeys(ctx, k.ID),
	} {
		if !errors.Is(err, ErrKeyState) {
			t.Errorf("%s while Archived: %v, want ErrKeyState", name, err)
		}
	}
	if err := c.CancelKeyArchive(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Encrypt(ctx, k.ID, nil, nil); err != nil {
		t.Errorf("Encrypt after CancelKeyArchive: %v", err)
	}
	var states []string
	for r, err := range c.AuditRecords(ctx, audit.Filter{Key: k.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Detail["to"] != "" {
			states = append(states, r.Operation+" "+r.Detail["from"]+" "+r.Detail["to"])
		}
	}
	if want := []string{"ArchiveKey Enabled Archived", "CancelKeyArchive Archived Enabled"}; !slices.Equal(states, want) {
		t.Errorf("the records are %q, want %q", states, want)
	}
}

// TestWrongClockDestroysNothing: a clock that is years ahead for one run of the vault
// destroys no CMK and no imported material, and when it is set right, both can be used. With
// ConfirmTime they are destroyed.
func TestWrongClockDestroysNothing(t *testing.T) {
	t.Parallel()
	v, c, _, _, fake, dir := newDeletionVault(t)
	ctx := t.Context()
	right := fake.Now()
	expiring, again := importUntil(t, c, right.Add(30*day))
	k := mustKey(t, c, KeyOptions{})
	mustSchedule(t, c, k.ID, 7)
	closeChecked(t, v)
	open := func(at time.Time) (*Vault, Client) {
		fake.Reboot()
		fake.Set(at)
		v, err := Open(ctx, dir, v.cfg, passphrase(t, "correct horse"))
		if err != nil {
			t.Fatal(err)
		}
		return v, v.As(DefaultOwner)
	}
	v, c = open(right.AddDate(73, 0, 0))
	runDeletion(t, c, k.ID, PendingDeletion)
	if err := v.expire(ctx, expiring.ID); err != nil || !v.Health().TimeInDoubt || materialsOf(t, v, expiring) != 1 {
		t.Errorf("expire with a clock in doubt: %v, Health %+v, %d materials", err, v.Health(), materialsOf(t, v, expiring))
	}
	if _, err := c.ImportKeyMaterial(ctx, expiring.ID, again.material()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("ImportKeyMaterial over material that may have expired: %v, want ErrUnavailable", err)
	}
	if _, err := c.Encrypt(ctx, expiring.ID, nil, nil); !errors.Is(err, ErrKeyState) {
		t.Errorf("Encrypt with material that may have expired: %v, want ErrKeyState", err)
	}
	closeChecked(t, v)

	v, c = open(right.Add(time.Hour))
	if _, err := c.Encrypt(ctx, expiring.ID, nil, nil); err != nil || v.Health().TimeInDoubt {
		t.Errorf("Encrypt after the clock was set right: %v, Health %+v", err, v.Health())
	}
	if err := c.CancelKeyDeletion(ctx, k.ID); err != nil {
		t.Errorf("CancelKeyDeletion after the clock was set right: %v", err)
	}
	if _, err := c.ScheduleKeyDeletion(ctx, k.ID, 7); err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)

	v, c = open(right.Add(40 * day))
	defer closeChecked(t, v)
	runDeletion(t, c, k.ID, PendingDeletion)
	if err := c.ConfirmTime(ctx); err != nil {
		t.Fatal(err)
	}
	runDeletion(t, c, k.ID, Destroyed)
	if r := lastRecord(t, c, OpConfirmTime); r.Result != audit.OK || r.Detail["time"] == r.Detail["expected"] {
		t.Errorf("the record of ConfirmTime is %+v", r)
	}
}
