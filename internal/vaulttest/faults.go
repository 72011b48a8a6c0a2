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

// misfortune is what happens to a device, and what comes of it.
type misfortune struct {
	fault drivertest.Fault
	want  error
	calls int // beyond those of a call that goes well
}

func misfortunes() map[string]misfortune {
	return map[string]misfortune{
		"busy once":   {drivertest.Fault{Nth: 1, Fail: true, Class: driver.Throttled}, nil, 1},
		"gone once":   {drivertest.Fault{Nth: 1, Fail: true, Class: driver.Unavailable}, nil, 1},
		"denied":      {drivertest.Fault{Fail: true, Class: driver.Denied}, vault.ErrUnavailable, 0},
		"unknown":     {drivertest.Fault{Fail: true, Class: driver.Unknown}, vault.ErrUnavailable, 0},
		"not there":   {drivertest.Fault{Fail: true, Class: driver.NotFound}, vault.ErrUnavailable, 0},
		"unsupported": {drivertest.Fault{Fail: true, Class: driver.Unsupported}, vault.ErrUnsupported, 0},
	}
}

// deviceFails: what another try can mend is tried again, and nothing else; an error
// says that the device is away, and when it is back the key works.
func deviceFails(t *testing.T, s *subject) {
	x := s.faulty
	for _, r := range s.eachOnDevice(t) {
		m := s.sample(t, x, r)
		for _, a := range actsOf(r.usage) {
			if a.method == "" || a.op == vault.OpReEncryptFrom {
				continue // it asks nothing, or twice
			}
			t.Run(string(a.op), func(t *testing.T) {
				for name, f := range misfortunes() {
					strikes(t, x, a, m, name, f)
				}
			})
		}
		staysAway(t, x, actsOf(r.usage)[0], m)
	}
}

// strikes runs an act once under a misfortune, and once after.
func strikes(t *testing.T, x *home, a act, m sample, name string, f misfortune) {
	t.Helper()
	if err := a.run(t.Context(), x.owner(), m); err != nil {
		t.Fatalf("before: %v", err)
	}
	f.fault.Method = a.method
	x.device.Add(f.fault)
	before := x.device.Calls(a.method)
	err := a.run(t.Context(), x.owner(), m)
	calls := x.device.Calls(a.method) - before
	x.device.Clear()
	if !errors.Is(err, f.want) || f.want == nil && err != nil {
		t.Errorf("%s: %v, want %v", name, err, f.want)
	}
	if calls != 1+f.calls {
		t.Errorf("%s: the device was asked %d times", name, calls)
	}
	if err := a.run(t.Context(), x.owner(), m); err != nil {
		t.Errorf("%s, when it is back: %v", name, err)
	}
}

// staysAway has the device gone for longer than the caller waits.
func staysAway(t *testing.T, x *home, a act, m sample) {
	t.Helper()
	for class, want := range map[driver.Class]error{driver.Unavailable: vault.ErrUnavailable, driver.Throttled: vault.ErrThrottled} {
		x.device.Add(drivertest.Fault{Method: a.method, Fail: true, Class: class})
		err := context.DeadlineExceeded
		for try := 0; try < 5 && err == context.DeadlineExceeded; try++ { // the device was not reached in time
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			err = a.run(ctx, x.owner(), m)
			cancel()
		}
		x.device.Clear()
		if !errors.Is(err, want) {
			t.Errorf("%s with a device that stays away: %v, want %v", a.op, err, want)
		}
		if err := a.run(t.Context(), x.owner(), m); err != nil {
			t.Errorf("%s when it is back: %v", a.op, err)
		}
	}
}

// deviceFailsToMakeKeys: whatever the device does, there is a whole key or none, and
// nothing is left over in it.
func deviceFailsToMakeKeys(t *testing.T, s *subject) {
	x := s.faulty
	r := s.eachOnDevice(t)[0]
	for name, f := range map[string]misfortune{
		"busy once":            {drivertest.Fault{Nth: 1, Fail: true, Class: driver.Throttled}, nil, 1},
		"gone after the work":  {drivertest.Fault{Nth: 1, Fail: true, Class: driver.Unavailable, After: true}, nil, 1},
		"denied":               {drivertest.Fault{Fail: true, Class: driver.Denied}, vault.ErrUnavailable, 0},
		"dead after the work":  {drivertest.Fault{Fail: true, Class: driver.Unknown, After: true}, vault.ErrUnavailable, 0},
		"no room for it there": {drivertest.Fault{Fail: true, Class: driver.Unsupported}, vault.ErrUnsupported, 0},
	} {
		t.Run(name, func(t *testing.T) {
			keys, objects, calls := count(t, x.owner(), vault.KeyFilter{}), x.objects(t), x.device.Calls(drivertest.MethodGenerateKey)
			f.fault.Method = drivertest.MethodGenerateKey
			x.device.Add(f.fault)
			k, err := x.owner().CreateKey(t.Context(), vault.KeyOptions{Spec: r.spec, Usage: r.usage, Alias: "once"})
			x.device.Clear()
			if !errors.Is(err, f.want) || f.want == nil && err != nil {
				t.Fatalf("%v, want %v", err, f.want)
			}
			if n := x.device.Calls(drivertest.MethodGenerateKey) - calls; n != 1+f.calls {
				t.Errorf("the device was asked %d times", n)
			}
			if f.want != nil {
				k = x.create(t, vault.KeyOptions{Spec: r.spec, Usage: r.usage, Alias: "once"}) // the alias is free
			}
			if n := count(t, x.owner(), vault.KeyFilter{}); n != keys+1 {
				t.Errorf("%d keys, before %d and one more since", n, keys)
			}
			if n := x.objects(t); objects >= 0 && n != objects+1 {
				t.Errorf("%d objects in the device, before %d and one more since", n, objects)
			}
			if err := x.owner().DeleteAlias(t.Context(), k.ID); err != nil {
				t.Error(err)
			}
		})
	}
}

// objects counts the keys in the device; -1 where there is none, or it cannot list
// them.
func (x *home) objects(t *testing.T) (n int) {
	t.Helper()
	if x.device == nil || !x.device.Info().Lister {
		return -1
	}
	for _, err := range x.device.ListKeys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// deviceAbsent: a vault opens without its device; what needs the device says so, and
// all else goes on.
func deviceAbsent(t *testing.T, s *subject) {
	x := s.faulty
	var samples []sample
	for _, r := range s.eachOnDevice(t) {
		samples = append(samples, s.sample(t, x, r))
	}
	x.close(t)
	absent := x.cfg
	absent.Drivers, absent.Driver = nil, ""
	x.openAs(t, absent)
	for _, m := range samples {
		if k, err := x.owner().DescribeKey(t.Context(), m.key.ID); err != nil || !equal(k, m.key) {
			t.Errorf("%+v, %v", k, err)
		}
		for _, a := range actsOf(m.usage) {
			err := a.run(t.Context(), x.owner(), m)
			if a.method == "" && err != nil || a.method != "" && !errors.Is(err, vault.ErrUnavailable) {
				t.Errorf("%s without the device: %v", a.op, err)
			}
		}
	}
	x.close(t)
	x.open(t)
	allWork(t, x, samples)
}

func allWork(t *testing.T, x *home, samples []sample) {
	t.Helper()
	for _, m := range samples {
		for _, a := range actsOf(m.usage) {
			if err := a.run(t.Context(), x.owner(), m); err != nil {
				t.Errorf("%s by %s: %v", a.op, m.row, err)
			}
		}
	}
}
