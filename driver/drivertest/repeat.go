package drivertest

import (
	"bytes"
	"context"
	"slices"

	"strongroom.example/driver"
)

// generateRepeatable generates each shared key again under its id. One usable key must
// remain: for objects the same one, for blobs that of the last call.
func generateRepeatable(t tb, s *subject) {
	ctx := context.Background()
	for _, row := range s.generated() {
		first := s.key(t, row)
		before := fingerprint(t, s, first)
		again, err := s.GenerateKey(ctx, first.id, row.Spec)
		if err != nil {
			t.Errorf("%v: GenerateKey under the same id again: %v", row.Spec, err)
			continue
		}
		second := first
		second.created = again
		works(t, s.Driver, second, "made twice")
		if len(again.Blob) == 0 {
			if !bytes.Equal(first.created.PublicDER, again.PublicDER) || !bytes.Equal(before, fingerprint(t, s, second)) {
				t.Errorf("%v: the second GenerateKey replaced the key", row.Spec)
			}
			works(t, s.Driver, first, "made twice, first answer")
		}
		s.keys[row.Spec] = second
	}
}

// generatedKeysDiffer compares public keys, in which a device that does not draw fresh
// material would show it. Keys of two usages must differ too; for RSA, which is slow to
// generate, that comparison is the whole check.
func generatedKeysDiffer(t tb, s *subject) {
	owners := make(map[string]string)
	claim := func(k createdKey) {
		der := string(k.created.PublicDER)
		if owner, taken := owners[der]; taken {
			t.Errorf("%v: the public key equals that of another key, of %s", k.row.Spec, owner)
		}
		owners[der] = k.row.Spec.String()
	}
	for _, row := range s.generated() {
		if row.Spec.Algorithm.Symmetric() {
			continue
		}
		claim(s.key(t, row))
		if row.Spec.Algorithm.ModulusBits() == 0 {
			other := makeKey(t, s.Driver, row)
			claim(other)
			s.discard(t, other)
		}
	}
}

// fingerprint returns bytes that identify a derivation key, or nil for other usages,
// which have a public key or no fixed output.
func fingerprint(t tb, s *subject, k createdKey) []byte {
	t.Helper()
	if k.row.Spec.Usage != driver.Derive {
		return nil
	}
	opened := openKey[driver.PRF](t, s.Driver, k)
	defer closeKey(t, opened)
	out, err := opened.PRF(context.Background(), nil, []byte("fingerprint"))
	if err != nil {
		t.Errorf("%v: PRF: %v", k.row.Spec, err)
	}
	return out
}

// openAbsent opens ids that were never used.
func openAbsent(t tb, s *subject) {
	for _, row := range s.generated() {
		classes := []driver.Class{driver.NotFound}
		if len(s.key(t, row).created.Blob) != 0 {
			classes = append(classes, driver.Authentic)
		}
		for _, blob := range []driver.Blob{nil, {}} {
			_, err := s.OpenKey(context.Background(), freshID(), row.Spec, blob)
			wantClass(t, err, row.Spec.String()+": opening absent material", classes...)
		}
	}
}

func destroyAbsent(t tb, s *subject) {
	ctx := context.Background()
	if err := s.DestroyKey(ctx, freshID(), nil); err != nil {
		t.Errorf("DestroyKey of an id that was never used: %v", err)
	}
	for _, row := range s.samples() {
		if err := s.DestroyKey(ctx, freshID(), s.key(t, row).created.Blob); err != nil {
			t.Errorf("%v: DestroyKey of an id that was never used, with a blob: %v", row.Spec, err)
		}
		works(t, s.Driver, s.key(t, row), "after an absent key was destroyed")
	}
}

// destroyTwice destroys the shared keys twice. Afterwards objects must not exist; a key
// in a blob is destroyed with the key that wraps it, and is not checked.
func destroyTwice(t tb, s *subject) {
	ctx := context.Background()
	for _, row := range s.generated() {
		k := s.key(t, row)
		for range 2 {
			if err := s.DestroyKey(ctx, k.id, k.created.Blob); err != nil {
				t.Errorf("%v: DestroyKey: %v", row.Spec, err)
			}
		}
		delete(s.keys, row.Spec)
		if len(k.created.Blob) != 0 {
			continue
		}
		_, err := s.OpenKey(ctx, k.id, row.Spec, nil)
		wantClass(t, err, row.Spec.String()+": opening a destroyed object", driver.NotFound)
		if s.info.Lister && slices.Contains(listed(t, s.Driver), k.id) {
			t.Errorf("%v: ListKeys still lists a destroyed object", row.Spec)
		}
	}
}
