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
	"strongroom.example/vault/internal/tasks"
)

// TestAliasAfterInterruptedCreate: an interrupted creation does not keep its alias permanently,
// even if its device does not work again.
func TestAliasAfterInterruptedCreate(t *testing.T) {
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

// TestAliasDeletedDuringCreate: if the alias is deleted while the device makes the CMK, the
// CMK has no alias.
func TestAliasDeletedDuringCreate(t *testing.T) {
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
	poll.Until(t, "the device is asked", func() bool { return faulty.Waiting() > 0 })
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

// TestPanicInADriver: the vault rolls back in the background what a driver's panic
// interrupted, and the alias can be used again.
func TestPanicInADriver(t *testing.T) {
	t.Parallel()
	var on atomic.Bool
	on.Store(true)
	device := drivertest.NewMemory()
	faulty := &fakedriver.Driver{Device: device, OnGenerateKey: func(ctx context.Context, id driver.MaterialID, s driver.KeySpec) (driver.Created, error) {
		if on.Load() {
			panic("a fault in the driver")
		}
		return device.GenerateKey(ctx, id, s)
	}}
	fake, cfg := clock.NewFake(time.Now()), deviceConfig(faulty)
	cfg.Clock = fake
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
	fake.Advance(2 * tasks.RetryDelay)
	poll.Until(t, "the alias can be used again", func() bool {
		_, err := c.CreateKey(t.Context(), KeyOptions{Alias: "a"})
		if err != nil && !errors.Is(err, ErrExists) {
			t.Fatal(err)
		}
		return err == nil
	})
}
