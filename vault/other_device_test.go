package vault

import (
	"context"
	"errors"
	"maps"
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

// A movedVault is a vault that is opened with one device after another.
type movedVault struct {
	*Vault
	c    Client
	cfg  Config
	dir  string
	fake *clock.Fake
	// first is the device with which the vault was made.
	first *drivertest.Memory
	// faulty is the driver of first.
	faulty *drivertest.Faulty
}

func newMovedVault(t *testing.T) *movedVault {
	t.Helper()
	x := &movedVault{}
	x.Vault, x.c, x.faulty, x.first, x.fake, x.dir = newDeletionVault(t)
	x.cfg = x.Vault.cfg
	return x
}

// openWith closes the vault and opens it with another device under the same driver name.
func (x *movedVault) openWith(t *testing.T, d driver.Driver) {
	t.Helper()
	closeChecked(t, x.Vault)
	x.cfg.Drivers = map[string]driver.Driver{"hsm": d}
	v, err := Open(t.Context(), x.dir, x.cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeChecked(t, v) })
	x.Vault, x.c = v, v.As(DefaultOwner)
}

// left returns the destructions that are not finished.
func (x *movedVault) left() []string {
	return append(x.store.Paths(intents), x.store.Paths(deletions)...)
}

// run runs every background task, repeatedly.
func (x *movedVault) run(t *testing.T) {
	t.Helper()
	for range 3 {
		x.tasks.RunAll(t.Context(), append(x.store.Paths(imports), x.left()...))
	}
}

// finish runs the background tasks until no destruction is left. The background ticker may run
// them at the same time.
func (x *movedVault) finish(t *testing.T) {
	t.Helper()
	poll.Until(t, "no destruction is left", func() bool { x.run(t); return len(x.left()) == 0 })
}

// wrongDevices returns how many records say WRONG_DEVICE.
func (x *movedVault) wrongDevices(t *testing.T) (n int) {
	t.Helper()
	for r, err := range x.c.AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Error == errorName(ErrWrongDevice) && r.Result == audit.Failed {
			n++
		}
	}
	return n
}

// failsAfter makes a method of the device fail after it acted, and the roll-back fail too.
func (x *movedVault) failsAfter(m drivertest.Method) {
	x.faulty.Add(drivertest.Fault{Method: m, Fail: true, Class: driver.Unknown, After: true})
	x.faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown})
}

// A destructionCase is one way in which the vault destroys material. begin is called with the
// device that gets the material, and returns the CMK; then, if it is not nil, is called with
// another device. Afterwards the former device keeps remaining objects.
type destructionCase struct {
	begin     func(t *testing.T, x *movedVault) Key
	then      func(ctx context.Context, x *movedVault, k Key) error
	fails     bool // then fails if the device lacks the material
	remaining int
	want      KeyState // with the former device again
}

// waits returns the step in which d passes.
func waits(d time.Duration) func(context.Context, *movedVault, Key) error {
	return func(_ context.Context, x *movedVault, _ Key) error { x.fake.Advance(d); return nil }
}

var destructionCases = map[string]destructionCase{
	"deletion": {begin: func(t *testing.T, x *movedVault) Key {
		k := mustKey(t, x.c, KeyOptions{})
		if _, err := x.c.RotateKey(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
		return mustSchedule(t, x.c, k.ID, 7)
	}, then: waits(7 * day), want: Destroyed},
	"deletion of a moved key": {begin: func(t *testing.T, x *movedVault) Key {
		k := mustKey(t, x.c, KeyOptions{Driver: softDriver})
		if _, err := x.c.MoveKey(t.Context(), k.ID, "hsm"); err != nil {
			t.Fatal(err)
		}
		return mustSchedule(t, x.c, k.ID, 7)
	}, then: waits(7 * day), want: Destroyed},
	"deletion of imported material": {begin: func(t *testing.T, x *movedVault) Key {
		k := newExternal(t, x.c)
		return mustImport(t, x.c, k.ID, newImportFixture(t, x.c, k, ownKey(1)).material())
	}, then: func(ctx context.Context, x *movedVault, k Key) error {
		return x.c.DeleteImportedKeyMaterial(ctx, k.ID)
	}, fails: true, want: PendingImport},
	"expiry of imported material": {begin: func(t *testing.T, x *movedVault) Key {
		k := newExternal(t, x.c)
		m := newImportFixture(t, x.c, k, ownKey(1)).material()
		m.ValidTo = x.fake.Now().Add(time.Hour)
		return mustImport(t, x.c, k.ID, m)
	}, then: waits(time.Hour), want: PendingImport},
	"expiry of an import token": {begin: func(t *testing.T, x *movedVault) Key {
		k := newExternal(t, x.c)
		newImportFixture(t, x.c, k, ownKey(1))
		return k
	}, then: waits(day), want: PendingImport},
	"failed import": {begin: func(t *testing.T, x *movedVault) Key {
		k := newExternal(t, x.c)
		p := newImportFixture(t, x.c, k, ownKey(1))
		x.failsAfter(drivertest.MethodImportWrapped)
		if _, err := x.c.ImportKeyMaterial(t.Context(), k.ID, p.material()); err == nil {
			t.Error("ImportKeyMaterial with a device that fails: nil, want an error")
		}
		return k
	}, remaining: 1, want: PendingImport}, // the wrapping key
	"failed creation": {begin: func(t *testing.T, x *movedVault) Key {
		x.failsAfter(drivertest.MethodGenerateKey)
		if _, err := x.c.CreateKey(t.Context(), KeyOptions{}); err == nil {
			t.Error("CreateKey with a device that fails: nil, want an error")
		}
		return Key{}
	}},
	"failed move": {begin: func(t *testing.T, x *movedVault) Key {
		k := mustKey(t, x.c, KeyOptions{Driver: softDriver})
		x.failsAfter(drivertest.MethodImportKey)
		if _, err := x.c.MoveKey(t.Context(), k.ID, "hsm"); err == nil {
			t.Error("MoveKey with a device that fails: nil, want an error")
		}
		return k
	}, want: Enabled},
	"trimmed version": {begin: func(t *testing.T, x *movedVault) Key {
		k := mustKey(t, x.c, KeyOptions{})
		if _, err := x.c.RotateKey(t.Context(), k.ID); err != nil {
			t.Fatal(err)
		}
		if err := x.c.SetMinimumVersion(t.Context(), k.ID, 2); err != nil {
			t.Fatal(err)
		}
		return k
	}, then: func(ctx context.Context, x *movedVault, k Key) error {
		return x.c.TrimKeyVersion(ctx, k.ID, 1)
	}, fails: true, remaining: 1, want: Enabled},
}

// TestOtherDeviceProvesNoDestruction: a device in which the material never was cannot end its
// destruction, because it has no such object either. The destruction is finished in the
// former device.
func TestOtherDeviceProvesNoDestruction(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(destructionCases)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			row, x := destructionCases[name], newMovedVault(t)
			k := row.begin(t, x)
			held := objects(t, x.first)
			x.openWith(t, drivertest.NewMemory())
			if row.then != nil {
				if err := row.then(t.Context(), x, k); errors.Is(err, ErrWrongDevice) != row.fails {
					t.Errorf("with another device: %v, want ErrWrongDevice: %t", err, row.fails)
				}
			}
			x.run(t)
			if n := objects(t, x.first); n != held || len(x.left()) == 0 {
				t.Errorf("with another device: the former has %d objects, want %d; destructions that wait: %q", n, held, x.left())
			}
			poll.Until(t, "the wait is on record", func() bool { return x.wrongDevices(t) > 0 })
			records := x.wrongDevices(t)
			if x.run(t); x.wrongDevices(t) != records {
				t.Errorf("%d records of the wait, and %d after more attempts", records, x.wrongDevices(t))
			}
			if row.want == Destroyed {
				runDeletion(t, x.c, k.ID, PendingDeletion)
			}
			x.openWith(t, x.first)
			x.finish(t)
			if n := objects(t, x.first); n != row.remaining {
				t.Errorf("with the former device again: it has %d objects, want %d", n, row.remaining)
			}
			if k.ID == "" {
				return
			}
			if k, err := x.c.DescribeKey(t.Context(), k.ID); err != nil || k.State != row.want {
				t.Errorf("with the former device again: %+v, error %v, want state %s", k, err, row.want)
			}
		})
	}
}

// cloneOf returns a driver whose device has the objects of m under another serial number.
func cloneOf(m *drivertest.Memory) *fakedriver.Driver {
	return &fakedriver.Driver{Device: m.Reopen(), OnInfo: func(i *driver.Info) { i.Device.Serial = "the clone's" }}
}

// TestDestructionInAClone: a clone that holds the object finishes a destruction, even if it is
// interrupted after the object is gone.
func TestDestructionInAClone(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(destructionCases)) {
		row, x := destructionCases[name], newMovedVault(t)
		k := row.begin(t, x)
		clone := cloneOf(x.first)
		var failed atomic.Bool
		clone.OnDestroyKey = func(ctx context.Context, id driver.MaterialID, blob driver.Blob) error {
			if err := clone.Device.DestroyKey(ctx, id, blob); err != nil || failed.Swap(true) {
				return err
			}
			return &driver.Error{Op: "DestroyKey", Class: driver.Unknown, Err: errors.New("interrupted")}
		}
		x.openWith(t, clone)
		if row.then != nil {
			if err := row.then(t.Context(), x, k); errors.Is(err, ErrUnavailable) != row.fails {
				t.Errorf("%s: %v, want the error of the clone: %t", name, err, row.fails)
			}
		}
		x.finish(t)
		if n := objects(t, x.first); !failed.Load() || n != row.remaining || x.wrongDevices(t) != 0 {
			t.Errorf("%s: interrupted: %t; %d objects, want %d; %d records WRONG_DEVICE, want 0", name, failed.Load(), n, row.remaining, x.wrongDevices(t))
		}
	}
}

// TestDestructionOfUnknownDevice: a record of an earlier release does not name the device of
// its material. What the present device lacks counts as destroyed, as in that release.
func TestDestructionOfUnknownDevice(t *testing.T) {
	t.Parallel()
	x := newMovedVault(t)
	k := mustKey(t, x.c, KeyOptions{})
	err := x.store.Commit(t.Context(), func(tx *keystore.Tx) error {
		ver, err := versionInTx(tx, k.ID, 1)
		if err != nil {
			return err
		}
		if ver.Device == nil {
			t.Error("the version does not name its device")
		}
		ver.Device = nil
		tx.Put(versionPath(k.ID, 1), encode(ver))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	mustSchedule(t, x.c, k.ID, 7)
	x.openWith(t, drivertest.NewMemory())
	x.fake.Advance(7 * day)
	runDeletion(t, x.c, k.ID, Destroyed)
}

// TestOtherTasksOfOtherDevice: a destruction that waits for its device does not delay the
// tasks that the present device can do.
func TestOtherTasksOfOtherDevice(t *testing.T) {
	t.Parallel()
	x := newMovedVault(t)
	waiting := mustSchedule(t, x.c, mustKey(t, x.c, KeyOptions{}).ID, 7)
	x.openWith(t, drivertest.NewMemory())
	due := mustSchedule(t, x.c, mustKey(t, x.c, KeyOptions{}).ID, 7)
	x.fake.Advance(7 * day)
	poll.Until(t, "the CMK of the present device is Destroyed", func() bool {
		x.tasks.RunAll(t.Context(), []string{deletionPath(waiting.ID), deletionPath(due.ID)})
		k, err := x.c.DescribeKey(t.Context(), due.ID)
		return err == nil && k.State == Destroyed
	})
	runDeletion(t, x.c, waiting.ID, PendingDeletion)
}
