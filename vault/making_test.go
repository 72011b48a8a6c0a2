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
)

// TestAliasOfACutOffCreation: an interrupted creation does not keep its alias permanently,
// even if its device does not work again.
func TestAliasOfACutOffCreation(t *testing.T) {
	v, faulty, _, dir := newDeviceVault(t)
	ctx := t.Context()
	faulty.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Fail: true, Class: driver.Unknown})
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unknown})
	if _, err := v.As(DefaultOwner).CreateKey(ctx, KeyOptions{Alias: "invoices"}); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	closeChecked(t, v)
	v, err := Open(ctx, dir, testConfig(), passphrase(t, "correct horse")) // without the device
	if err != nil {
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	if _, err := c.Encrypt(ctx, "invoices", nil, nil); !errors.Is(err, ErrKeyState) {
		t.Errorf("use of what was not made: %v", err)
	}
	if err := c.DeleteAlias(ctx, "invoices"); err != nil {
		t.Fatal(err)
	}
	k := mustKey(t, c, KeyOptions{Alias: "invoices"})
	closeChecked(t, v)
	faulty.Clear()
	v, err = Open(ctx, dir, deviceConfig(faulty), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	n := 0
	for got, err := range v.As(DefaultOwner).ListKeys(ctx, KeyFilter{}) {
		if n++; err != nil || got.ID != k.ID || got.Alias != "invoices" {
			t.Errorf("ListKeys: %+v, error %v", got, err)
		}
	}
	if n != 1 {
		t.Errorf("ListKeys: %d keys, want 1", n)
	}
}

// TestAliasDeletedWhileMade: if the alias is deleted while the device makes the CMK, the
// CMK has no alias.
func TestAliasDeletedWhileMade(t *testing.T) {
	v, faulty, _, _ := newDeviceVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	block, made := make(chan struct{}), make(chan Key, 1)
	faulty.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Block: block})
	go func() {
		k, err := c.CreateKey(ctx, KeyOptions{Alias: "a", Description: "d"})
		if err != nil {
			t.Error(err)
		}
		made <- k
	}()
	for faulty.Waiting() == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := c.DeleteAlias(ctx, "a"); err != nil {
		t.Error(err)
	}
	close(block)
	k := <-made
	got, err := c.DescribeKey(ctx, k.ID)
	if err != nil || k.Alias != "" || got.Alias != "" || got.State != Enabled || got.Description != "d" {
		t.Errorf("CreateKey returned %+v, DescribeKey %+v, error %v", k, got, err)
	}
	mustKey(t, c, KeyOptions{Alias: "a", Driver: softDriver})
}

// panicky is a device whose driver panics while on is set.
type panicky struct {
	driver.Driver
	on *atomic.Bool
}

func (d panicky) GenerateKey(ctx context.Context, id driver.MaterialID, s driver.KeySpec) (driver.Created, error) {
	if d.on.Load() {
		panic("a fault in the driver")
	}
	return d.Driver.GenerateKey(ctx, id, s)
}

// TestPanicInADriver: the vault rolls back in the background what a driver's panic
// interrupted, and the alias can be used again.
func TestPanicInADriver(t *testing.T) {
	t.Parallel()
	var on atomic.Bool
	on.Store(true)
	fake, cfg := clock.NewFake(time.Now()), deviceConfig(panicky{drivertest.NewMemory(), &on})
	cfg.clock = fake
	v, _ := newTestVault(t, cfg)
	c := v.As(DefaultOwner)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("CreateKey did not panic")
			}
		}()
		c.CreateKey(t.Context(), KeyOptions{Alias: "a"})
	}()
	on.Store(false)
	fake.Advance(2 * agendaRetry)
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		_, err := c.CreateKey(t.Context(), KeyOptions{Alias: "a"})
		if err == nil {
			return
		}
		if !errors.Is(err, ErrExists) || time.Since(begin) > 10*time.Second {
			t.Fatal(err)
		}
	}
}
