package vault

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/fakedriver"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
)

// newDeviceVault makes a vault whose default driver is a device that fails on demand.
func newDeviceVault(t *testing.T) (*Vault, *drivertest.Faulty, *drivertest.Memory, string) {
	t.Helper()
	device := drivertest.NewMemory()
	faulty := drivertest.NewFaulty(device)
	v, dir := newTestVault(t, deviceConfig(faulty))
	return v, faulty, device, dir
}

func deviceConfig(d driver.Driver) Config {
	return Config{Edition: testEdition(), Drivers: map[string]driver.Driver{"hsm": d}, Driver: "hsm"}
}

// objects returns the number of objects in a device.
func objects(t *testing.T, d driver.Lister) (n int) {
	t.Helper()
	for _, err := range d.ListKeys(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestResidentKey(t *testing.T) {
	v, _, device, _ := newDeviceVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Alias: "k"})
	if k.Residence != Resident || k.Driver != "hsm" || objects(t, device) != 1 {
		t.Errorf("CreateKey: %+v, and the device has %d objects", k, objects(t, device))
	}
	ct, err := c.Encrypt(ctx, "k", []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.RotateKey(ctx, "k"); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" || objects(t, device) != 2 {
		t.Errorf("Decrypt: %q, error %v; the device has %d objects, want 2", got, err, objects(t, device))
	}
}

// TestDeviceFails: whatever fault the device has during CreateKey, the key is complete or
// does not exist, no object is left in the device, and the outcome is recorded.
func TestDeviceFails(t *testing.T) {
	for name, row := range map[string]struct {
		fault drivertest.Fault
		want  error
	}{
		"denied":              {drivertest.Fault{Method: drivertest.MethodGenerateKey, Fail: true, Class: driver.Denied}, ErrUnavailable},
		"unknown after":       {drivertest.Fault{Method: drivertest.MethodGenerateKey, Fail: true, Class: driver.Unknown, After: true}, ErrUnavailable},
		"busy twice":          {drivertest.Fault{Method: drivertest.MethodGenerateKey, Nth: 1, Fail: true, Class: driver.Throttled}, nil},
		"gone after it acted": {drivertest.Fault{Method: drivertest.MethodGenerateKey, Nth: 1, Fail: true, Class: driver.Unavailable, After: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v, faulty, device, _ := newDeviceVault(t)
			c := v.As(DefaultOwner)
			faulty.Add(row.fault)
			k, err := c.CreateKey(t.Context(), KeyOptions{Alias: "k"})
			if !errors.Is(err, row.want) {
				t.Fatalf("CreateKey: %v, want %v", err, row.want)
			}
			want, state := 0, ""
			if row.want == nil {
				want, state = 1, string(k.State)
			}
			if objects(t, device) != want || state != "" && state != string(Enabled) {
				t.Errorf("the device has %d objects, and the key is in state %q", objects(t, device), state)
			}
			if n := len(v.store.Paths(intents)); n != 0 {
				t.Errorf("%d intents remain, want 0", n)
			}
			if got := outcomes(t, c); got != 1 {
				t.Errorf("%d outcomes are recorded, want 1", got)
			}
			faulty.Clear()
			if want == 0 {
				mustKey(t, c, KeyOptions{Alias: "k"}) // the alias can be used again
			}
		})
	}
}

func outcomes(t *testing.T, c Client) (n int) {
	t.Helper()
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{Operation: string(OpCreateKey)}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Phase == audit.Outcome {
			n++
		}
	}
	return n
}

// TestIntentIsRolledBackAtOpen: the device fails after it made the key, and does not work
// again before the vault is opened again. That Open destroys the key, because no caller
// received it.
func TestIntentIsRolledBackAtOpen(t *testing.T) {
	v, faulty, device, dir := newDeviceVault(t)
	c := v.As(DefaultOwner)
	good := mustKey(t, c, KeyOptions{})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Fail: true, Class: driver.Unknown, After: true})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown})
	for _, act := range []func() error{
		func() error { return second(c.CreateKey(t.Context(), KeyOptions{Alias: "lost"})) },
		func() error { return second(c.RotateKey(t.Context(), good.ID)) },
	} {
		if err := act(); !errors.Is(err, ErrUnavailable) {
			t.Errorf("operation with a device that fails: %v, want ErrUnavailable", err)
		}
	}
	if objects(t, device) != 3 || len(v.store.Paths(intents)) != 2 {
		t.Fatalf("the device has %d objects and the store %d intents, want 3 and 2", objects(t, device), len(v.store.Paths(intents)))
	}
	closeChecked(t, v)

	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatalf("open without the device: %v", err)
	}
	if len(v.store.Paths(intents)) != 2 {
		t.Error("an intent was settled although its device was absent")
	}
	if _, err := v.As(DefaultOwner).Encrypt(t.Context(), good.ID, nil, nil); !errors.Is(err, ErrUnavailable) {
		t.Errorf("key of an absent device: %v", err)
	}
	closeChecked(t, v)

	v, err = Open(t.Context(), dir, deviceConfig(device), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	if objects(t, device) != 1 || len(v.store.Paths(intents)) != 0 {
		t.Errorf("after Open the device has %d objects and the store %d intents, want 1 and 0", objects(t, device), len(v.store.Paths(intents)))
	}
	if k, err := v.As(DefaultOwner).RotateKey(t.Context(), good.ID); err != nil || k.Version != 2 {
		t.Errorf("RotateKey after Open: %+v, error %v", k, err)
	}
	outcomesNameIntents(t, v.As(DefaultOwner))
}

// outcomesNameIntents checks that each recorded outcome names an intent of its own, with
// the same operation, key and version.
func outcomesNameIntents(t *testing.T, c Client) {
	t.Helper()
	open := map[uint64]audit.Record{}
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch r.Phase {
		case audit.Intent:
			open[r.Seq] = r
		case audit.Outcome:
			in, ok := open[r.Intent]
			if !ok || in.Operation != r.Operation || in.Key != r.Key || in.KeyVersion != r.KeyVersion {
				t.Errorf("record %d of %s is the outcome of intent %d, which is %+v", r.Seq, r.Operation, r.Intent, in)
			}
			delete(open, r.Intent)
		}
	}
	if len(open) > 0 {
		t.Errorf("intents without an outcome: %v", open)
	}
}

// TestDisableWhileDeviceWorks: if a key is disabled while the device computes an Encrypt,
// the result is not released.
func TestDisableWhileDeviceWorks(t *testing.T) {
	v, faulty, _, _ := newDeviceVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	proceed := make(chan struct{})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodPRF, Nth: 1, Block: proceed})
	got := make(chan error)
	go func() { got <- second(c.Encrypt(ctx, k.ID, nil, nil)) }()
	poll.Until(t, "the device is asked", func() bool { return faulty.Waiting() > 0 })
	if err := c.DisableKeys(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	close(proceed)
	if err := <-got; !errors.Is(err, ErrKeyState) {
		t.Errorf("released after Disable: %v", err)
	}
}

// TestDeviceResultNeedsRecord: if the log cannot be written, no operation returns a
// result.
func TestDeviceResultNeedsRecord(t *testing.T) {
	x, v := newTampered(t)
	c := v.As(DefaultOwner)
	x.engine.Fault(func(keystore.Batch) error { return errors.New("disk is gone") })
	pt, err := c.Decrypt(t.Context(), x.cts[0], nil)
	if !errors.Is(err, ErrAuditUnavailable) || pt != nil {
		t.Errorf("Decrypt without a log: %q, error %v, want ErrAuditUnavailable", pt, err)
	}
	x.engine.Fault(nil)
	v.Close()
}

// TestOpenWithoutDevice: if the device always fails, the vault opens after one attempt
// for one intent, and the other intents are postponed.
func TestOpenWithoutDevice(t *testing.T) {
	v, faulty, device, dir := newDeviceVault(t)
	faulty.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Fail: true, Class: driver.Unknown, After: true})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown})
	for range 3 {
		if _, err := v.As(DefaultOwner).CreateKey(t.Context(), KeyOptions{}); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
	}
	closeChecked(t, v)
	asked := 0
	dead := &fakedriver.Driver{Device: device, OnDestroyKey: func(context.Context, driver.MaterialID, driver.Blob) error {
		asked++
		return &driver.Error{Op: "DestroyKey", Class: driver.Unknown}
	}}
	v, err := Open(t.Context(), dir, deviceConfig(dead), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	scheduled := v.tasks.ScheduledAfter(time.Time{})
	if asked != 1 || len(v.store.Paths(intents)) != 3 || scheduled != 3 {
		t.Errorf("DestroyKey was called %d times, want 1; %d intents, %d scheduled tasks, want 3 each", asked, len(v.store.Paths(intents)), scheduled)
	}
}

// TestWithoutTheDriver: if a vault is opened without a CMK's driver, every operation on the
// CMK returns the same error.
func TestWithoutTheDriver(t *testing.T) {
	v, dir := newTestVault(t, deviceConfig(drivertest.NewMemory()))
	c, ctx := v.As(DefaultOwner), t.Context()
	k, external := mustKey(t, c, KeyOptions{}), mustKey(t, c, KeyOptions{Origin: OriginExternal})
	p := newImportFixture(t, c, external, ownKey(1))
	closeChecked(t, v)
	v, err := Open(ctx, dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	for name, err := range map[string]error{
		"Encrypt":             second(c.Encrypt(ctx, k.ID, nil, nil)),
		"RotateKey":           second(c.RotateKey(ctx, k.ID)),
		"ParametersForImport": second(c.ParametersForImport(ctx, external.ID, ImportRequest{})),
		"ImportKeyMaterial":   second(c.ImportKeyMaterial(ctx, external.ID, p.material())),
	} {
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "Config.Drivers") {
			t.Errorf("%s without the driver: %v, want ErrUnavailable that names Config.Drivers", name, err)
		}
	}
	if _, err := c.CreateKey(ctx, KeyOptions{Driver: "hsm"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("CreateKey without the driver: %v, want ErrInvalid", err)
	}
}
