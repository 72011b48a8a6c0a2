package drivertest

import (
	"bytes"
	"context"
	"errors"

	"strongroom.example/driver"
)

// squatterRefused imports known material under an id and then generates a key under the
// same id. The device must not return the known key as one that it generated. A device
// whose attributes do not distinguish the two is left out, and the log says so.
func squatterRefused(t tb, s *subject) {
	for _, row := range s.samples() {
		shared := s.key(t, row)
		if !row.Import || len(shared.created.Blob) != 0 {
			continue
		}
		if shared.created.Attributes["local"] != "true" {
			t.Logf("%v: the device does not report which keys it generated", row.Spec)
			continue
		}
		m := s.material(t, row.Spec.Algorithm)
		in, err := m.encode()
		if err != nil {
			t.Fatalf("%v: %v", row.Spec, err)
		}
		planted := importKey(t, s.Driver, row, in)
		_, err = s.GenerateKey(context.Background(), planted.id, row.Spec)
		wantClass(t, err, row.Spec.String()+": GenerateKey under the id of imported material", driver.Invalid)
		s.discard(t, planted)
	}
}

// replacedObjectTracked replaces the object of an open key by another under its id. The
// key must continue with its own material, fail, or report by driver.Tracked that it has
// looked the object up again.
func replacedObjectTracked(t tb, s *subject) {
	ctx := context.Background()
	for _, row := range s.samples() {
		k := makeKey(t, s.Driver, row)
		if len(k.created.Blob) != 0 {
			s.discard(t, k)
			continue
		}
		opened := openKey[driver.Key](t, s.Driver, k)
		before, seen := output(t, opening{createdKey: k, opened: opened}), lookups(opened)
		destroy(t, s.Driver, k)
		if _, err := s.GenerateKey(ctx, k.id, row.Spec); err != nil {
			t.Errorf("%v: GenerateKey after DestroyKey: %v", row.Spec, err)
		}
		if !answersAs(ctx, k, opened, before) && lookups(opened) == seen {
			t.Errorf("%v: an open key uses another object under its id, and its Lookups are %d as before", row.Spec, seen)
		}
		closeKey(t, opened)
		s.discard(t, k)
	}
}

// answersAs reports whether an open key fails, or computes as the key that was generated.
func answersAs(ctx context.Context, k createdKey, opened driver.Key, before []byte) bool {
	if prf, ok := opened.(driver.PRF); ok {
		out, err := prf.PRF(ctx, nil, []byte("restart"))
		return err != nil || bytes.Equal(out, before)
	}
	err := use(ctx, k, opened)
	_, failed := errors.AsType[*driver.Error](err)
	return err == nil || failed && !errors.Is(err, driver.Authentic)
}

func lookups(opened driver.Key) uint64 {
	if t, ok := opened.(driver.Tracked); ok {
		return t.Lookups()
	}
	return 0
}
