package main

import (
	"errors"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/examples/internal/demotest"
	"strongroom.example/vault"
	"strongroom.example/vault/vaulttest"
)

const day = 24 * time.Hour

// TestForget lets thirty days pass. vaulttest.New makes a real vault in milliseconds, and its
// clock moves only when the test says so.
func TestForget(t *testing.T) {
	v := vaulttest.New(t)
	n := Notes{Keys: v.As(vault.DefaultOwner)}
	if err := n.Put(t.Context(), "alice", "calls on Monday"); err != nil {
		t.Fatal(err)
	}
	if err := n.Forget(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		wait time.Duration
		want vault.KeyState
	}{{29 * day, vault.PendingDeletion}, {1 * day, vault.Destroyed}} {
		v.Clock.Advance(step.wait)
		_, err := n.Get(t.Context(), "alice")
		var e *vault.Error
		if !errors.Is(err, vault.ErrKeyState) || !errors.As(err, &e) || e.State != step.want {
			t.Errorf("after %v more: %v, want a key that is %s", step.wait, err, step.want)
		}
	}
}

// TestBusyDevice makes the device refuse the first use of a key. drivertest.Memory is a
// device in memory, and drivertest.Faulty makes any driver fail on demand.
func TestBusyDevice(t *testing.T) {
	device := drivertest.NewFaulty(drivertest.NewMemory())
	v := vaulttest.New(t, func(c *vault.Config) {
		c.Drivers, c.Driver = map[string]driver.Driver{"hsm": device}, "hsm"
	})
	n := Notes{Keys: v.As(vault.DefaultOwner)}
	if err := n.Put(t.Context(), "alice", "calls on Monday"); err != nil {
		t.Fatal(err)
	}
	before := device.Calls(drivertest.MethodPRF)
	device.Add(drivertest.Fault{Method: drivertest.MethodPRF, Nth: 1, Fail: true, Class: driver.Throttled})
	if err := n.Put(t.Context(), "alice", "calls on Tuesday"); err != nil {
		t.Errorf("Put with a device that is busy for a moment: %v", err)
	}
	if calls := device.Calls(drivertest.MethodPRF) - before; calls < 2 {
		t.Errorf("the device was called %d times, want another attempt", calls)
	}
	// A device that is gone is an error that the program can distinguish.
	device.Add(drivertest.Fault{Method: drivertest.MethodPRF, Fail: true, Class: driver.Unavailable})
	if _, err := n.Get(t.Context(), "alice"); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("Get with a device that is gone: %v, want ErrUnavailable", err)
	}
}

// TestRun runs the program as the README does.
func TestRun(t *testing.T) {
	demotest.Example{
		Run: run, Output: []string{"stored a note of 15 characters", "destroyed in 30 days"}, Secrets: []string{"Monday"},
	}.Test(t)
}
