package vaulttest

import (
	"errors"
	"testing"

	"strongroom.example/vault"
)

// deviceAbsent: a vault opens without its device. Operations that need the device fail
// with ErrUnavailable, and all others succeed.
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
