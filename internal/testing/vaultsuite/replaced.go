package vaultsuite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/vault"
)

// A decoy is another key of the device that takes the place of one that the vault made.
type decoy struct {
	id   driver.MaterialID
	blob driver.Blob
}

// replace makes every OpenKey of a spec open another key of that spec until restore is
// called, like a device on which a key was destroyed and another made under its id.
func (d *device) replace(t *testing.T, spec driver.KeySpec) (restore func()) {
	t.Helper()
	var other decoy
	rand.Read(other.id[:])
	made, err := d.Faulty.GenerateKey(t.Context(), other.id, spec)
	if err != nil {
		t.Fatalf("GenerateKey of %v for a decoy: %v", spec, err)
	}
	other.blob = made.Blob
	d.setDecoy(spec, &other)
	return func() {
		d.setDecoy(spec, nil)
		if err := d.Faulty.DestroyKey(context.Background(), other.id, other.blob); err != nil {
			t.Errorf("DestroyKey of the decoy: %v", err)
		}
	}
}

func (d *device) setDecoy(spec driver.KeySpec, other *decoy) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.decoys == nil {
		d.decoys = map[driver.KeySpec]*decoy{}
	}
	d.decoys[spec] = other
}

// placed returns the arguments for OpenKey: those of the key itself, or of the decoy in
// its place.
func (d *device) placed(id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.MaterialID, driver.Blob) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if other := d.decoys[spec]; other != nil {
		return other.id, other.blob
	}
	return id, blob
}

// keyReplaced: a key of the device that is not the one that the vault made is never used.
// Each operation that needs it fails with ErrKeyReplaced and is recorded with that error.
// It succeeds once the original key is back.
func keyReplaced(t *testing.T, s *subject) {
	x := s.faulty
	var samples []keySample
	for _, r := range s.eachOnDevice(t) {
		samples = append(samples, s.sample(t, x, r))
	}
	x.reopen(t) // no key is open
	for _, m := range samples {
		restore := x.device.replace(t, m.row.device)
		for _, a := range actsOf(m.usage) {
			if a.method == "" {
				continue // it does not call the device
			}
			id := fmt.Sprintf("replaced key, %s by %s", a.op, m.row)
			err := a.run(vault.WithRequestID(t.Context(), id), x.owner(), m)
			if !errors.Is(err, vault.ErrKeyReplaced) {
				t.Errorf("%s with another key in the place of its own: %v, want ErrKeyReplaced", a.op, err)
			}
			if got := recordOf(t, x, id); got.Error != "KEY_REPLACED" || got.Result != audit.Failed {
				t.Errorf("%s with another key in the place of its own is on record as %q %q, want KEY_REPLACED FAILED", a.op, got.Error, got.Result)
			}
		}
		restore()
	}
	allWork(t, x, samples)
}

// recordOf returns the last audit record of a request, or the zero Record if there is
// none.
func recordOf(t *testing.T, x *home, request string) (last audit.Record) {
	t.Helper()
	for got, err := range x.owner().AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if got.RequestID == request {
			last = got
		}
	}
	return last
}
