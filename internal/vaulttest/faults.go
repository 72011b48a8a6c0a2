package vaulttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
)

// misfortune is a device fault and its expected effect.
type misfortune struct {
	name  string
	fault drivertest.Fault
	want  error
	calls int // additional calls, compared with a call that succeeds
}

func misfortunes() []misfortune {
	return []misfortune{
		{"busy once", drivertest.Fault{Nth: 1, Fail: true, Class: driver.Throttled}, nil, 1},
		{"gone once", drivertest.Fault{Nth: 1, Fail: true, Class: driver.Unavailable}, nil, 1},
		{"denied", drivertest.Fault{Fail: true, Class: driver.Denied}, vault.ErrUnavailable, 0},
		{"unknown", drivertest.Fault{Fail: true, Class: driver.Unknown}, vault.ErrUnavailable, 0},
		{"not there", drivertest.Fault{Fail: true, Class: driver.NotFound}, vault.ErrUnavailable, 0},
		{"unsupported", drivertest.Fault{Fail: true, Class: driver.Unsupported}, vault.ErrUnsupported, 0},
	}
}

// deviceFails: a temporary failure is retried, any other is not. An error reports that
// the device is unavailable, and the key works when the device is back.
func deviceFails(t *testing.T, s *subject) {
	x := s.faulty
	for _, r := range s.eachOnDevice(t) {
		m := s.sample(t, x, r)
		for _, a := range actsOf(r.usage) {
			if a.method == "" || a.op == vault.OpReEncryptFrom {
				continue // it makes no call, or two
			}
			t.Run(string(a.op), func(t *testing.T) {
				for _, f := range misfortunes() {
					strikes(t, x, a, m, f)
				}
			})
		}
		staysAway(t, x, actsOf(r.usage)[0], m)
	}
}

// strikes runs an act once with the fault and once after it.
func strikes(t *testing.T, x *home, a act, m sample, f misfortune) {
	t.Helper()
	if err := a.run(t.Context(), x.owner(), m); err != nil {
		t.Fatalf("the call before the fault: %v", err)
	}
	f.fault.Method = a.method
	x.device.Add(f.fault)
	before := x.device.Calls(a.method)
	err := a.run(t.Context(), x.owner(), m)
	calls := x.device.Calls(a.method) - before
	x.device.Clear()
	if !errors.Is(err, f.want) || f.want == nil && err != nil {
		t.Errorf("%s: %v, want %v", f.name, err, f.want)
	}
	if calls != 1+f.calls {
		t.Errorf("%s: %d device calls, want those of the fault", f.name, calls)
	}
	if err := a.run(t.Context(), x.owner(), m); err != nil {
		t.Errorf("the call after fault %s: %v", f.name, err)
	}
}

// staysAway makes the device unavailable for longer than the caller waits.
func staysAway(t *testing.T, x *home, a act, m sample) {
	t.Helper()
	for class, want := range map[driver.Class]error{driver.Unavailable: vault.ErrUnavailable, driver.Throttled: vault.ErrThrottled} {
		x.device.Add(drivertest.Fault{Method: a.method, Fail: true, Class: class})
		err := context.DeadlineExceeded
		for try := 0; try < 5 && err == context.DeadlineExceeded; try++ { // the deadline passed before the device was called
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			err = a.run(ctx, x.owner(), m)
			cancel()
		}
		x.device.Clear()
		if !errors.Is(err, want) {
			t.Errorf("%s with a device that stays away: %v, want %v", a.op, err, want)
		}
		if err := a.run(t.Context(), x.owner(), m); err != nil {
			t.Errorf("%s when the device is back: %v", a.op, err)
		}
	}
}
