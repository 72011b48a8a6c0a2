package drivertest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/poll"
)

var prfSpec = driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}

// faultyKey opens a key of a Faulty that has no faults yet.
func faultyKey(t *testing.T) (*drivertest.Faulty, driver.PRF) {
	t.Helper()
	ctx, id := context.Background(), driver.MaterialID{1}
	f := drivertest.NewFaulty(drivertest.NewMemory())
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := f.GenerateKey(ctx, id, prfSpec); err != nil {
		t.Fatal(err)
	}
	k, err := f.OpenKey(ctx, id, prfSpec, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f, k.(driver.PRF)
}

func TestFaultyIsTransparent(t *testing.T) {
	drivertest.Run(t, func(*testing.T) driver.Driver { return drivertest.NewFaulty(drivertest.NewMemory()) })
}

func TestFaultyNthCall(t *testing.T) {
	f, k := faultyKey(t)
	f.Add(drivertest.Fault{Method: drivertest.MethodPRF, Nth: 3, Fail: true, Class: driver.Throttled})
	for n := 1; n <= 5; n++ {
		out, err := k.PRF(context.Background(), nil, nil)
		if failed := errors.Is(err, driver.Throttled); failed != (n == 3) || failed == (len(out) == 32) {
			t.Errorf("PRF, call %d: %d bytes, %v", n, len(out), err)
		}
	}
	if n := f.Calls(drivertest.MethodPRF); n != 5 {
		t.Errorf("Calls(PRF) = %d, want 5", n)
	}
	if n := f.Calls(""); n != 7 {
		t.Errorf("Calls of all methods = %d, want 7", n)
	}
}

func TestFaultyEveryCall(t *testing.T) {
	f, k := faultyKey(t)
	f.Add(drivertest.Fault{Fail: true, Class: driver.Unavailable})
	if _, err := k.PRF(context.Background(), nil, nil); !errors.Is(err, driver.Unavailable) {
		t.Error(err)
	}
	if _, err := f.Read(context.Background()); !errors.Is(err, driver.Unavailable) {
		t.Error(err)
	}
	f.Clear()
	if _, err := k.PRF(context.Background(), nil, nil); err != nil {
		t.Errorf("PRF after Clear: %v", err)
	}
}

// TestFaultyAfter checks that with After the device acts, and the caller gets an error.
func TestFaultyAfter(t *testing.T) {
	ctx, id := context.Background(), driver.MaterialID{2}
	f, k := faultyKey(t)
	f.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Fail: true, After: true})
	if _, err := f.GenerateKey(ctx, id, prfSpec); !errors.Is(err, driver.Unknown) {
		t.Error(err)
	}
	if _, err := f.OpenKey(ctx, id, prfSpec, nil); err != nil {
		t.Errorf("GenerateKey with After did not generate the key: %v", err)
	}
	f.Add(drivertest.Fault{Method: drivertest.MethodPRF, Fail: true, After: true})
	dst := make([]byte, 0, 32)
	if out, err := k.PRF(ctx, dst, nil); err == nil || len(out) != 0 || [32]byte(dst[:32]) != [32]byte{} {
		t.Errorf("the lost output was not wiped: %v", err)
	}
}

func TestFaultyDelayAndBlock(t *testing.T) {
	f, k := faultyKey(t)
	proceed := make(chan struct{})
	f.Add(drivertest.Fault{Method: drivertest.MethodPRF, Nth: 1, Block: proceed})
	f.Add(drivertest.Fault{Method: drivertest.MethodPRF, Nth: 2, Delay: time.Hour})
	f.Add(drivertest.Fault{Method: drivertest.MethodPRF, Nth: 3, Delay: 20 * time.Millisecond})
	done := make(chan error)
	go func() {
		_, err := k.PRF(context.Background(), nil, nil)
		done <- err
	}()
	poll.Until(t, "PRF waits", func() bool { return f.Waiting() == 1 })
	close(proceed)
	if err := <-done; err != nil || f.Waiting() != 0 {
		t.Errorf("PRF after the block ended: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, err := k.PRF(ctx, nil, nil)
		done <- err
	}()
	poll.Until(t, "PRF is delayed", func() bool { return f.Waiting() == 1 })
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("PRF with a delay longer than its context: %v", err)
	}
	from := time.Now()
	if _, err := k.PRF(context.Background(), nil, nil); err != nil || time.Since(from) < 20*time.Millisecond {
		t.Errorf("PRF was delayed by %v: %v", time.Since(from), err)
	}
}

// TestFaultyLacks checks that methods that the inner driver lacks are Unsupported.
func TestFaultyLacks(t *testing.T) {
	inner, err := soft.Open(t.Context(), soft.Config{})
	if err != nil {
		t.Fatal(err)
	}
	f := drivertest.NewFaulty(inner)
	defer f.Close()
	ctx := context.Background()
	_, errWrapping := f.GenerateWrappingKey(ctx, driver.MaterialID{}, driver.RSA2048)
	_, errWrapped := f.ImportWrapped(ctx, driver.MaterialID{}, prfSpec, driver.Wrapped{})
	_, errRead := f.Read(ctx)
	for _, err := range []error{errWrapping, errWrapped, errRead, f.Random(ctx, nil)} {
		if !errors.Is(err, driver.Unsupported) {
			t.Error(err)
		}
	}
	for _, err := range f.ListKeys(ctx) {
		if !errors.Is(err, driver.Unsupported) {
			t.Error(err)
		}
	}
}

func TestFaultyProtector(t *testing.T) {
	ctx := context.Background()
	code, err := soft.NewRecoveryCode()
	if err != nil {
		t.Fatal(err)
	}
	f := drivertest.NewFaulty(drivertest.NewMemory())
	defer f.Close()
	p := f.Protector(code)
	blob, err := p.Protect(ctx, driver.Binding{}, make([]byte, 32))
	if err != nil || p.Kind() != code.Kind() {
		t.Fatal(err)
	}
	f.Add(drivertest.Fault{Method: drivertest.MethodRecover, Nth: 1, Fail: true, Class: driver.Unavailable})
	if _, err := p.Recover(ctx, nil, driver.Binding{}, blob); !errors.Is(err, driver.Unavailable) {
		t.Error(err)
	}
	if root, err := p.Recover(ctx, nil, driver.Binding{}, blob); err != nil || len(root) != 32 {
		t.Errorf("%d bytes, %v", len(root), err)
	}
}

func TestFaultyProtectorIsTransparent(t *testing.T) {
	drivertest.RunProtector(t, func(t *testing.T) (right, wrong driver.Protector) {
		f := drivertest.NewFaulty(drivertest.NewMemory())
		var two [2]driver.Protector
		for i := range two {
			code, err := soft.NewRecoveryCode()
			if err != nil {
				t.Fatal(err)
			}
			two[i] = f.Protector(code)
		}
		return two[0], two[1]
	})
}
