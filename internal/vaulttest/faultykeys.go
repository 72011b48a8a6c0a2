package vaulttest

import (
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
)

// deviceFailsToMakeKeys: whatever the device does, creating a key makes a complete key or
// none, and leaves no objects in the device.
func deviceFailsToMakeKeys(t *testing.T, s *subject) {
	x := s.faulty
	o := x.options(s.eachOnDevice(t)[0])
	o.Alias = "once"
	for _, f := range []misfortune{
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
