package vault

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// TestOrphans: Orphans lists the objects that no record names, and no others: neither a
// CMK's, nor a wrapping key's, nor that of a creation which waits to be rolled back.
func TestOrphans(t *testing.T) {
	v, faulty, device, _ := newDeviceVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	mustKey(t, c, KeyOptions{})
	ext := mustKey(t, c, KeyOptions{Origin: OriginExternal})
	if _, err := c.ParametersForImport(ctx, ext.ID, ImportRequest{}); err != nil {
		t.Fatal(err)
	}
	faulty.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Fail: true, Class: driver.Unknown, After: true})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown})
	if _, err := c.CreateKey(ctx, KeyOptions{}); err == nil {
		t.Fatal("CreateKey succeeded although the driver fails")
	}
	faulty.Clear()
	if n := objects(t, device); n < 2 {
		t.Fatalf("the device has %d objects, want those of a CMK and of a failed creation", n)
	}
	var want []driver.MaterialID
	for i := range 3 {
		id := driver.MaterialID{byte(7 - i)}
		want = append(want, id)
		if _, err := device.GenerateKey(ctx, id, driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Reverse(want)
	if got, err := c.Orphans(ctx, "hsm"); err != nil || !slices.Equal(got, want) {
		t.Errorf("Orphans: %v, error %v, want %v", got, err, want)
	}
	var last audit.Record
	for r, err := range c.AuditRecords(ctx, audit.Filter{Operation: string(OpListOrphans)}) {
		if err != nil {
			t.Fatal(err)
		}
		last = r
	}
	if last.Driver != "hsm" || last.Detail["orphans"] != "3" || last.Result != audit.OK {
		t.Errorf("the record of Orphans is %+v", last)
	}
}

// TestOrphansErrors checks the error for each fault of the argument, the driver and the
// caller.
func TestOrphansErrors(t *testing.T) {
	v, faulty, _, _ := newDeviceVault(t)
	ctx := t.Context()
	faulty.Add(drivertest.Fault{Method: drivertest.MethodListKeys, Fail: true, Class: driver.Unknown})
	for _, x := range []struct {
		caller Principal
		driver string
		want   error
	}{
		{DefaultOwner, "hsm", ErrUnavailable},
		{DefaultOwner, "soft", ErrUnsupported},
		{DefaultOwner, "absent", ErrInvalid},
		{"mallory", "hsm", ErrDenied},
		{"mallory", "absent", ErrDenied},
	} {
		if got, err := v.As(x.caller).Orphans(ctx, x.driver); !errors.Is(err, x.want) || got != nil {
			t.Errorf("Orphans of %q for %q: %v, error %v, want %v", x.driver, x.caller, got, err, x.want)
		}
	}
}

// TestOrphansDuringChanges: no key is an orphan at any point of its creation, its move and
// its destruction.
func TestOrphansDuringChanges(t *testing.T) {
	v, _, device, _ := newDeviceVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	var work sync.WaitGroup
	for range 3 {
		work.Go(func() {
			ext, err := c.CreateKey(ctx, KeyOptions{Origin: OriginExternal})
			for n := 0; n < 5 && err == nil; n++ {
				var k Key
				if _, err = c.ParametersForImport(ctx, ext.ID, ImportRequest{}); err != nil {
					break // each call replaces the wrapping key of the one before
				}
				if k, err = c.CreateKey(ctx, KeyOptions{Driver: "soft"}); err == nil {
					_, err = c.MoveKey(ctx, k.ID, "hsm")
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	done := make(chan struct{})
	go func() { work.Wait(); close(done) }()
	for n := 0; ; n++ {
		if got, err := c.Orphans(ctx, "hsm"); err != nil || len(got) > 0 {
			t.Errorf("Orphans: %v, error %v, want none", got, err)
		}
		select {
		case <-done:
			if objects(t, device) == 0 || n == 0 {
				t.Errorf("the device has %d objects after %d listings", objects(t, device), n)
			}
			return
		default:
		}
	}
}
