package vault

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/importtoken"
	"strongroom.example/vault/internal/tasks"
)

// newExpiringKeys makes n CMKs on a driver whose imported material expires at the given
// time. The vault generates the material and only records it as imported, because making n
// wrapping keys would take long.
func newExpiringKeys(t *testing.T, v *Vault, on string, at time.Time, n int) (keys []Key) {
	t.Helper()
	for range n {
		keys = append(keys, mustKey(t, v.As(DefaultOwner), KeyOptions{Driver: on}))
	}
	err := v.store.Commit(t.Context(), func(tx *keystore.Tx) error {
		for i := range keys {
			keys[i].Origin, keys[i].ValidTo = OriginExternal, at
			tx.Put(keyPath(keys[i].ID), encode(keys[i]))
			tx.Put(importPathOf(keys[i].ID), encode(importtoken.State{}))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		v.scheduleExpiry(t.Context(), k.ID)
	}
	return keys
}

// countExpired counts the keys whose material is removed and whose outcome is recorded.
func countExpired(t *testing.T, v *Vault, keys []Key) (n int) {
	t.Helper()
	ended := map[string]int{}
	for r, err := range v.As(DefaultOwner).AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		deleted := r.Operation == string(OpExpireKeyMaterial) || r.Operation == string(OpDeleteImportedKeyMaterial)
		if deleted && r.Phase == audit.Outcome && r.Result == audit.OK {
			ended[r.Key]++
		}
	}
	for _, k := range keys {
		ver, err := v.records.version(t.Context(), k.ID, 1)
		if err != nil {
			t.Fatal(err)
		}
		if ver.Material == "" && ended[k.ID] == 1 {
			n++
		}
	}
	return n
}

// TestExpiriesShareEpochs: materials that expire at the same time share a few changes of epoch,
// and each has its own record.
func TestExpiriesShareEpochs(t *testing.T) {
	t.Parallel()
	const n = 300
	v, c, fake, _ := newClockVault(t)
	survivor := mustKey(t, c, KeyOptions{})
	keys := newExpiringKeys(t, v, softDriver, fake.Now().Add(time.Hour), n)
	generation := v.store.Root().Generation
	fake.Advance(time.Hour)
	poll.Until(t, "the expiry of all", func() bool { return len(v.store.Paths("material/"))+len(v.store.Paths(intents)) == 1 })
	if got := countExpired(t, v, keys); got != n {
		t.Errorf("%d of %d materials are removed with a recorded outcome", got, n)
	}
	// A change of epoch is two generations of the root file.
	changes := (v.store.Root().Generation - generation) / 2
	t.Logf("%d expiries in %d changes of epoch", n, changes)
	if changes > 12 {
		t.Errorf("%d changes of epoch for %d expiries", changes, n)
	}
	if _, err := c.Encrypt(t.Context(), survivor.ID, nil, nil); err != nil {
		t.Errorf("Encrypt with the key that does not expire: %v", err)
	}
	outcomesNameIntents(t, c)
}

// TestDeletionsShareEpochs: concurrent deletions share changes of epoch too.
func TestDeletionsShareEpochs(t *testing.T) {
	const n = 32
	v, c, fake, _ := newClockVault(t)
	keys := newExpiringKeys(t, v, softDriver, fake.Now().Add(time.Hour), n)
	generation := v.store.Root().Generation
	var people sync.WaitGroup
	for _, k := range keys {
		people.Go(func() {
			if err := c.DeleteImportedKeyMaterial(context.Background(), k.ID); err != nil {
				t.Error(err)
			}
		})
	}
	people.Wait()
	changes := (v.store.Root().Generation - generation) / 2
	t.Logf("%d deletions in %d changes of epoch", n, changes)
	if got := countExpired(t, v, keys); got != n || changes > n/2 {
		t.Errorf("%d of %d deletions are recorded as done, in %d changes of epoch", got, n, changes)
	}
	if _, _, left := v.handles.Counts(); left != 0 {
		t.Errorf("%d drains remain, want 0", left)
	}
}

// TestBatchContinuesAfterItsCallerGaveUp: a batch continues when the caller that runs it
// gives up, because other callers wait for it. If it fails, every caller gets the error.
func TestBatchContinuesAfterItsCallerGaveUp(t *testing.T) {
	x, v := newCrashFixture(t, 1)
	defer v.Close()
	ctx, cancel := context.WithCancel(t.Context())
	x.engine.Fault(func(keystore.Batch) error { cancel(); return nil })
	if err := v.epochs.Delete(ctx, "material/none"); err != nil || ctx.Err() == nil {
		t.Errorf("Delete: %v, want nil although its context ended: %v", err, ctx.Err())
	}
	if err := v.epochs.Delete(ctx, "material/none"); err != nil && err != context.Canceled {
		t.Errorf("Delete whose context has ended: %v, want nil or context.Canceled", err)
	}
	gone := errors.New("disk is gone")
	x.engine.Fault(func(keystore.Batch) error { return gone })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := v.epochs.Delete(context.Background(), "material/none"); err == nil {
				t.Error("Delete without a disk returned nil, want an error")
			}
		})
	}
	all.Wait()
	x.engine.Fault(nil)
}

// newHangingVault makes a vault over the software engine and a device.
func newHangingVault(t *testing.T, patience time.Duration) (*Vault, *drivertest.Faulty, *clock.Fake, string) {
	t.Helper()
	faulty := drivertest.NewFaulty(drivertest.NewMemory())
	t.Cleanup(func() { faulty.Close() })
	fake := clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	v, dir := newTestVault(t, Config{Edition: testEdition(), Drivers: map[string]driver.Driver{"hsm": faulty}, Clock: fake, taskTimeout: patience})
	return v, faulty, fake, dir
}

// TestHangingDeviceDelaysOnlyItself: a device that hangs does not delay the expiry of other
// devices' material. The delayed tasks run once the device works again.
func TestHangingDeviceDelaysOnlyItself(t *testing.T) {
	t.Parallel()
	v, faulty, fake, _ := newHangingVault(t, time.Hour)
	at := fake.Now().Add(time.Hour)
	stuck, free := newExpiringKeys(t, v, "hsm", at, 3), newExpiringKeys(t, v, softDriver, at, 3)
	later := newExpiringKeys(t, v, softDriver, at.Add(time.Hour), 3)
	forever := make(chan struct{})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Block: forever})
	fake.Advance(time.Hour)
	poll.Until(t, "the device to hang", func() bool { return faulty.Waiting() > 0 })
	poll.Until(t, "expiry beside it", func() bool { return countExpired(t, v, free) == len(free) })
	fake.Advance(time.Hour)
	poll.Until(t, "what came due later", func() bool { return countExpired(t, v, later) == len(later) })
	if n := countExpired(t, v, stuck); n != 0 || faulty.Waiting() != 1 {
		t.Errorf("%d expired on a device that hangs, %d calls wait", n, faulty.Waiting())
	}
	faulty.Clear()
	close(forever)
	poll.Until(t, "the device", func() bool { return countExpired(t, v, stuck) == len(stuck) })
	outcomesNameIntents(t, v.As(DefaultOwner))
}

// TestHangingTaskIsAbandoned: a call that hangs is abandoned and repeated later.
func TestHangingTaskIsAbandoned(t *testing.T) {
	t.Parallel()
	v, faulty, fake, _ := newHangingVault(t, 5*time.Second) // the task reaches the device within it
	stuck := newExpiringKeys(t, v, "hsm", fake.Now().Add(time.Hour), 2)
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Block: make(chan struct{})})
	fake.Advance(time.Hour)
	poll.Until(t, "the end of patience", func() bool { return v.tasks.ScheduledAfter(v.confirmedNow()) >= len(stuck) })
	if n := countExpired(t, v, stuck); n != 0 || faulty.Calls(drivertest.MethodDestroyKey) != 1 {
		t.Errorf("%d expired, asked %d times", n, faulty.Calls(drivertest.MethodDestroyKey))
	}
	faulty.Clear()
	fake.Advance(tasks.RetryDelay)
	poll.Until(t, "the device", func() bool { return countExpired(t, v, stuck) == len(stuck) })
}

// TestOpenWithHangingDevice: Open waits for a device that hangs for one task at most,
// however many tasks are due there.
func TestOpenWithHangingDevice(t *testing.T) {
	t.Parallel()
	v, faulty, fake, dir := newHangingVault(t, 5*time.Second)
	at := fake.Now().Add(time.Hour)
	stuck, free := newExpiringKeys(t, v, "hsm", at, 3), newExpiringKeys(t, v, softDriver, at, 3)
	cfg := v.cfg
	closeChecked(t, v)
	fake.Advance(time.Hour)
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Block: make(chan struct{})})
	begin := time.Now()
	v, err := Open(t.Context(), dir, cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	if took := time.Since(begin); took > 3*cfg.taskTimeout {
		t.Errorf("Open took %v, want less than the limits of three tasks", took)
	}
	if n, m := countExpired(t, v, free), countExpired(t, v, stuck); n != len(free) || m != 0 {
		t.Errorf("removed: %d materials of the software engine and %d of the device, want all and 0", n, m)
	}
	faulty.Clear()
	poll.Until(t, "the device", func() bool {
		fake.Advance(tasks.RetryDelay) // again, because an attempt may have failed only now
		return countExpired(t, v, stuck) == len(stuck)
	})
}
