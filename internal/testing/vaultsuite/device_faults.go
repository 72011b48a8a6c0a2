package vaultsuite

import (
	"context"
	"errors"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
)

// deviceFault is a device fault and its expected effect.
type deviceFault struct {
	name  string
	fault drivertest.Fault
	want  error
	calls int // additional calls, compared with a call that succeeds
}

func deviceFaults() []deviceFault {
	return []deviceFault{
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
				for _, f := range deviceFaults() {
					strikes(t, x, a, m, f)
				}
			})
		}
		staysAway(t, x, actsOf(r.usage)[0], m)
	}
}

// strikes runs an act once with the fault and once after it.
func strikes(t *testing.T, x *home, a act, m keySample, f deviceFault) {
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
func staysAway(t *testing.T, x *home, a act, m keySample) {
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

// deviceFailsToMakeKeys: whatever the device does, creating a key makes a complete key or
// none, and leaves no objects in the device.
func deviceFailsToMakeKeys(t *testing.T, s *subject) {
	x := s.faulty
	o := x.options(s.eachOnDevice(t)[0])
	o.Alias = "once"
	for _, f := range []deviceFault{
		{"busy once", drivertest.Fault{Nth: 1, Fail: true, Class: driver.Throttled}, nil, 1},
		{"gone after the work", drivertest.Fault{Nth: 1, Fail: true, Class: driver.Unavailable, After: true}, nil, 1},
		{"denied", drivertest.Fault{Fail: true, Class: driver.Denied}, vault.ErrUnavailable, 0},
		{"dead after the work", drivertest.Fault{Fail: true, Class: driver.Unknown, After: true}, vault.ErrUnavailable, 0},
		{"no room for it there", drivertest.Fault{Fail: true, Class: driver.Unsupported}, vault.ErrUnsupported, 0},
	} {
		t.Run(f.name, func(t *testing.T) {
			keys, objects, calls := count(t, x.owner(), vault.KeyFilter{}), x.objects(t), x.device.Calls(drivertest.MethodGenerateKey)
			f.fault.Method = drivertest.MethodGenerateKey
			x.device.Add(f.fault)
			k, err := x.owner().CreateKey(t.Context(), o)
			x.device.Clear()
			if !errors.Is(err, f.want) || f.want == nil && err != nil {
				t.Fatalf("%v, want %v", err, f.want)
			}
			if n := x.device.Calls(drivertest.MethodGenerateKey) - calls; n != 1+f.calls {
				t.Errorf("CreateKey made %d calls of GenerateKey, want those of the fault", n)
			}
			if f.want != nil {
				k = x.create(t, o) // the alias is free
			}
			if n := count(t, x.owner(), vault.KeyFilter{}); n != keys+1 {
				t.Errorf("%d keys, want one more than %d", n, keys)
			}
			if added := x.objectsSince(t, objects); objects != nil && added != 1 {
				t.Errorf("CreateKey left %d objects in the device, want 1", added)
			}
			if err := x.owner().DeleteAlias(t.Context(), k.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

// objects returns the ids of the keys in the device, or nil if there is no device or it
// cannot list them.
func (x *home) objects(t *testing.T) map[driver.MaterialID]bool {
	t.Helper()
	if x.device == nil || !x.device.Info().Lister {
		return nil
	}
	ids := map[driver.MaterialID]bool{}
	for id, err := range x.device.ListKeys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		ids[id] = true
	}
	return ids
}

// objectsSince counts the keys in the device that are not among those before. It does
// not compare totals, because the vault may remove keys of earlier tests at any time.
func (x *home) objectsSince(t *testing.T, before map[driver.MaterialID]bool) (added int) {
	t.Helper()
	for id := range x.objects(t) {
		if !before[id] {
			added++
		}
	}
	return added
}

// deviceAbsent: a vault opens without its device. Operations that need the device fail
// with ErrUnavailable, and all others succeed.
func deviceAbsent(t *testing.T, s *subject) {
	x := s.faulty
	var samples []keySample
	for _, r := range s.eachOnDevice(t) {
		samples = append(samples, s.sample(t, x, r))
	}
	x.close(t)
	absent := x.cfg
	absent.Drivers, absent.Driver = nil, ""
	x.openAs(t, absent)
	for _, m := range samples {
		if k, err := x.owner().DescribeKey(t.Context(), m.key.ID); err != nil || !equal(k, m.key) {
			t.Errorf("DescribeKey without the device: %+v, %v, want the key as before", k, err)
		}
		for _, a := range actsOf(m.usage) {
			err := a.run(t.Context(), x.owner(), m)
			if a.method == "" && err != nil || a.method != "" && !errors.Is(err, vault.ErrUnavailable) {
				t.Errorf("%s without the device: %v, want ErrUnavailable if it needs the device, otherwise nil", a.op, err)
			}
		}
	}
	x.close(t)
	x.open(t)
	allWork(t, x, samples)
}

func allWork(t *testing.T, x *home, samples []keySample) {
	t.Helper()
	for _, m := range samples {
		for _, a := range actsOf(m.usage) {
			if err := a.run(t.Context(), x.owner(), m); err != nil {
				t.Errorf("%s by %s: %v", a.op, m.row, err)
			}
		}
	}
}
