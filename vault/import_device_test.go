package vault

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/testing/fakedriver"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/vault/internal/importtoken"
	"strongroom.example/vault/internal/tasks"
	"strongroom.example/vault/internal/wrapping"
)

// newImportDevice makes a vault with a device that fails on demand and a clock that the
// test sets.
func newImportDevice(t *testing.T) (Client, *drivertest.Faulty, *drivertest.Memory, *clock.Fake) {
	t.Helper()
	device := drivertest.NewMemory()
	faulty := drivertest.NewFaulty(device)
	c, fake := newClockDevice(t, faulty)
	return c, faulty, device, fake
}

func newClockDevice(t *testing.T, d driver.Driver) (Client, *clock.Fake) {
	t.Helper()
	fake := clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	cfg := deviceConfig(d)
	cfg.Clock = fake
	v, _ := newTestVault(t, cfg)
	return v.As(DefaultOwner), fake
}

// finishIntents runs the due background tasks.
func finishIntents(t *testing.T, c Client, fake *clock.Fake) {
	t.Helper()
	fake.Advance(tasks.RetryDelay)
	c.vault.tasks.RunDue(t.Context())
	// The background ticker may have taken the task.
	poll.Until(t, "no intent remains", func() bool { return len(c.vault.store.Paths(intents)) == 0 })
}

// TestImportInDevice: if the driver can unwrap, the host does not. Deleted material is
// deleted in the device.
func TestImportInDevice(t *testing.T) {
	t.Parallel()
	for _, alg := range []WrappingAlgorithm{WrapRSAESOAEPSHA256, WrapRSAESOAEPSHA1, WrapRSAESPKCS1V15} {
		t.Run(string(alg), func(t *testing.T) {
			needs(t, alg)
			c, faulty, device, fake := newImportDevice(t)
			k := newExternal(t, c)
			p := requestImport(t, c, k.ID, ownKey(1), ImportRequest{Algorithm: alg})
			path, calls, wrapping := PathDevice, 1, 1
			if alg == WrapRSAESPKCS1V15 {
				path, calls, wrapping = PathHost, 0, 0
			}
			k = mustImport(t, c, k.ID, p.material())
			if got := faulty.Calls(drivertest.MethodImportWrapped); p.parameters.Path != path || got != calls || k.Driver != "hsm" || k.Residence != Resident {
				t.Errorf("path %s, %d calls of ImportWrapped, key %+v", p.parameters.Path, got, k)
			}
			if r := lastRecord(t, c, OpImportKeyMaterial); r.Detail["path"] != string(path) || r.Detail["algorithm"] != string(alg) {
				t.Errorf("the record's detail is %v", r.Detail)
			}
			mustImport(t, c, k.ID, p.material()) // only compared, not kept
			if n := objects(t, device); n != 1+wrapping {
				t.Errorf("the device has %d objects after the second import", n)
			}
			if err := c.DeleteImportedKeyMaterial(t.Context(), k.ID); err != nil {
				t.Fatal(err)
			}
			finishIntents(t, c, fake)
			if n := objects(t, device); n != 0 {
				t.Errorf("the device has %d objects after the deletion", n)
			}
			other := requestImport(t, c, k.ID, ownKey(2), ImportRequest{Algorithm: alg})
			refusedImport(t, c, k.ID, other.material(), "other material")
			if n := objects(t, device); n != wrapping {
				t.Errorf("the device has %d objects after a rejected import", n)
			}
			mustImport(t, c, k.ID, requestImport(t, c, k.ID, ownKey(1), ImportRequest{Algorithm: alg}).material())
			finishIntents(t, c, fake) // removes the wrapping key of the replaced token
			if n := objects(t, device); n != 1+wrapping {
				t.Errorf("the device has %d objects at the end", n)
			}
		})
	}
}

// TestImportDeviceFails: whatever fault the device has, nothing is left in it, the attempt
// is not counted, and the token remains valid.
func TestImportDeviceFails(t *testing.T) {
	t.Parallel()
	for _, method := range []drivertest.Method{drivertest.MethodImportWrapped, drivertest.MethodOpenKey, drivertest.MethodPRF} {
		c, faulty, device, _ := newImportDevice(t)
		k := newExternal(t, c)
		p := newImportFixture(t, c, k, ownKey(1))
		faulty.Add(drivertest.Fault{Method: method, Fail: true, Class: driver.Unknown, After: true})
		for range importtoken.MaxAttempts + 1 {
			if _, err := c.ImportKeyMaterial(t.Context(), k.ID, p.material()); !errors.Is(err, ErrUnavailable) {
				t.Errorf("ImportKeyMaterial while %s fails: %v, want ErrUnavailable", method, err)
			}
		}
		if n := objects(t, device); n != 1 || len(c.vault.store.Paths(intents)) != 0 {
			t.Errorf("after a failed %s: the device has %d objects and the store %d intents, want 1 and 0", method, n, len(c.vault.store.Paths(intents)))
		}
		faulty.Clear()
		mustImport(t, c, k.ID, p.material())
	}
}

// TestPathDeviceWithoutAlgorithm: the vault selects the algorithm that the device unwraps,
// also one of those for private keys.
func TestPathDeviceWithoutAlgorithm(t *testing.T) {
	t.Parallel()
	spec := driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}
	only := func(info *driver.Info) {
		for i := range info.Specs {
			info.Specs[i].WrappedImport = []driver.WrapAlg{driver.WrapRSAAESKWP}
		}
	}
	_, _, device, _ := newImportDevice(t)
	restricted := &fakedriver.Driver{Device: device, OnInfo: only}
	for path, want := range map[ImportPath]WrappingAlgorithm{PathDevice: WrapRSAAESSHA1, PathAuto: WrapRSAESOAEPSHA256} {
		rows, err := wrapping.Choose(wrapping.Request{Path: string(path)}, spec, Standard)
		if err != nil {
			t.Fatal(err)
		}
		row, _, err := wrapping.ChoosePath(string(path), restricted, spec, rows)
		if err != nil || row.Algorithm != string(want) {
			t.Errorf("path %s: %s, %v; want %s", path, row.Algorithm, err, want)
		}
	}
}

// TestDeviceKeepsMaterial: if a device does not destroy material, or falsely reports that
// it did, no success is recorded, and the vault retries in the background.
func TestDeviceKeepsMaterial(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]drivertest.Fault{
		"DestroyKey fails":    {Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown},
		"still there":         {},
		"cannot be looked at": {Method: drivertest.MethodOpenKey, Fail: true, Class: driver.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			device := drivertest.NewMemory()
			faulty := drivertest.NewFaulty(device)
			var keeps atomic.Bool // a destruction is reported and not performed
			c, fake := newClockDevice(t, &fakedriver.Driver{Device: faulty, OnDestroyKey: func(ctx context.Context, id driver.MaterialID, blob driver.Blob) error {
				if keeps.Load() {
					return nil
				}
				return faulty.DestroyKey(ctx, id, blob)
			}})
			k := newExternal(t, c)
			mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
			if name == "still there" {
				keeps.Store(true)
			} else {
				faulty.Add(fault)
			}
			if err := c.DeleteImportedKeyMaterial(t.Context(), k.ID); !errors.Is(err, ErrUnavailable) {
				t.Errorf("DeleteImportedKeyMaterial: %v, want ErrUnavailable", err)
			}
			if _, err := c.Encrypt(t.Context(), k.ID, nil, nil); !errors.Is(err, ErrKeyState) {
				t.Errorf("used after deletion: %v", err)
			}
			if r := lastRecord(t, c, OpDeleteImportedKeyMaterial); r.Operation != "" {
				t.Errorf("a success is recorded: %+v", r)
			}
			faulty.Clear()
			keeps.Store(false)
			finishIntents(t, c, fake)
			if n := objects(t, device); n != 0 {
				t.Errorf("the device has %d objects, want 0", n)
			}
			if r := lastRecord(t, c, OpDeleteImportedKeyMaterial); r.Key != k.ID || r.Principal != string(DefaultOwner) {
				t.Errorf("the record of the deletion is %+v", r)
			}
		})
	}
}

// TestImportIsRolledBackAtOpen: the device fails after it unwrapped, and does not work again
// before the vault is opened again. That Open destroys the material, because no caller
// received a result.
func TestImportIsRolledBackAtOpen(t *testing.T) {
	v, faulty, device, dir := newDeviceVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := newExternal(t, c)
	p := newImportFixture(t, c, k, ownKey(1))
	faulty.Add(drivertest.Fault{Method: drivertest.MethodImportWrapped, Fail: true, Class: driver.Unknown, After: true})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown})
	if _, err := c.ImportKeyMaterial(ctx, k.ID, p.material()); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("ImportKeyMaterial with a device that fails: %v, want ErrUnavailable", err)
	}
	if objects(t, device) != 2 || len(v.store.Paths(intents)) != 1 {
		t.Fatalf("the device has %d objects and the store %d intents, want 2 and 1", objects(t, device), len(v.store.Paths(intents)))
	}
	closeChecked(t, v)
	v, err := Open(ctx, dir, deviceConfig(device), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	if objects(t, device) != 1 || len(v.store.Paths(intents)) != 0 {
		t.Errorf("after Open the device has %d objects and the store %d intents", objects(t, device), len(v.store.Paths(intents)))
	}
	state, err := v.importOf(ctx, k.ID)
	if err != nil || state.Newest.Failed != 1 || state.Newest.Running != 0 {
		t.Errorf("the interrupted attempt must count as failed once: %+v, error %v", state.Newest, err)
	}
	mustImport(t, v.As(DefaultOwner), k.ID, p.material())
}

// TestImportedKeyMoves: an imported key moves into a device, is deleted there, and is
// imported there again.
func TestImportedKeyMoves(t *testing.T) {
	c, _, device, fake := newImportDevice(t)
	ctx := t.Context()
	k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Driver: softDriver})
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.MoveKey(ctx, k.ID, "hsm"); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteImportedKeyMaterial(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	finishIntents(t, c, fake)
	if n := objects(t, device); n != 0 {
		t.Errorf("the device has %d objects after the deletion", n)
	}
	if k = mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material()); k.Driver != "hsm" || k.Provenance != ProvenanceImported {
		t.Errorf("the key after the second import is %+v", k)
	}
	if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
		t.Errorf("Decrypt: %q, error %v", got, err)
	}
}

// TestExpiresWhileDeviceWorks: an operation that began before ValidTo and ends after it
// releases nothing.
func TestExpiresWhileDeviceWorks(t *testing.T) {
	c, faulty, _, fake := newImportDevice(t)
	k := newExternal(t, c)
	m := newImportFixture(t, c, k, ownKey(1)).material()
	m.ValidTo = fake.Now().Add(time.Hour)
	mustImport(t, c, k.ID, m)
	c.vault.tasks.Schedule(importPathOf(k.ID), time.Time{}) // the background ticker is late
	proceed := make(chan struct{})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodPRF, Nth: 1, Block: proceed})
	got := make(chan error)
	go func() { got <- second(c.Encrypt(t.Context(), k.ID, nil, nil)) }()
	poll.Until(t, "the device is asked", func() bool { return faulty.Waiting() > 0 })
	fake.Advance(time.Hour)
	close(proceed)
	if err := <-got; !errors.Is(err, ErrKeyState) {
		t.Errorf("released after ValidTo: %v", err)
	}
}

// TestImportIsRolledBackInBackground: when the device works again, the vault removes what a
// failed import left there, without a restart.
func TestImportIsRolledBackInBackground(t *testing.T) {
	c, faulty, device, fake := newImportDevice(t)
	k := newExternal(t, c)
	p := newImportFixture(t, c, k, ownKey(1))
	faulty.Add(drivertest.Fault{Method: drivertest.MethodImportWrapped, Fail: true, Class: driver.Unknown, After: true})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown})
	if _, err := c.ImportKeyMaterial(t.Context(), k.ID, p.material()); !errors.Is(err, ErrUnavailable) || objects(t, device) != 2 {
		t.Fatalf("ImportKeyMaterial: %v, want ErrUnavailable; the device has %d objects, want 2", err, objects(t, device))
	}
	faulty.Clear()
	finishIntents(t, c, fake)
	if n := objects(t, device); n != 1 {
		t.Errorf("the device has %d objects, want 1", n)
	}
	mustImport(t, c, k.ID, p.material())
}

// TestDestructionContinuesAfterOpen: if a device still fails during Open, the vault retries
// the destruction later.
func TestDestructionContinuesAfterOpen(t *testing.T) {
	device := drivertest.NewMemory()
	faulty := drivertest.NewFaulty(device)
	fake := clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	cfg := deviceConfig(faulty)
	cfg.Clock = fake
	v, dir := newTestVault(t, cfg)
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown})
	if err := c.DeleteImportedKeyMaterial(t.Context(), k.ID); !errors.Is(err, ErrUnavailable) {
		t.Errorf("DeleteImportedKeyMaterial: %v, want ErrUnavailable", err)
	}
	closeChecked(t, v)
	v, err := Open(t.Context(), dir, cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	if n := len(v.store.Paths(intents)); n != 2 { // for the material and the wrapping key
		t.Errorf("%d intents, want 2", n)
	}
	faulty.Clear()
	finishIntents(t, v.As(DefaultOwner), fake)
	if n := objects(t, device); n != 0 {
		t.Errorf("the device has %d objects, want 0", n)
	}
}
