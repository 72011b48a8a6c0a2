package drivertest

import (
	"context"
	"crypto/rand"
	"slices"

	"strongroom.example/driver"
)

// A subject is the driver under test, with the keys that checks share. Generating an RSA
// key for each check would take minutes.
type subject struct {
	driver.Driver
	info   driver.Info
	open   func(tb) driver.Driver
	reopen func(tb, driver.Driver) driver.Driver

	keys      map[driver.KeySpec]createdKey
	materials map[driver.KeyAlgorithm]keyMaterial
}

// A createdKey is material that was created in a driver.
type createdKey struct {
	id      driver.MaterialID
	row     driver.SpecInfo
	created driver.Created
}

func newSubject(t tb, open func(tb) driver.Driver, reopen func(tb, driver.Driver) driver.Driver) *subject {
	d := open(t)
	return &subject{
		Driver:    d,
		info:      d.Info(),
		open:      open,
		reopen:    reopen,
		keys:      make(map[driver.KeySpec]createdKey),
		materials: make(map[driver.KeyAlgorithm]keyMaterial),
	}
}

// close destroys the remaining keys, so that a device does not fill up, and closes the
// driver.
func (s *subject) close(t tb) {
	for _, k := range s.keys {
		s.discard(t, k)
	}
	closeDriver(t, s.Driver)
}

func closeDriver(t tb, d driver.Driver) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (s *subject) discard(t tb, k createdKey) {
	t.Helper()
	destroy(t, s.Driver, k)
}

func destroy(t tb, d driver.Driver, k createdKey) {
	t.Helper()
	if err := d.DestroyKey(context.Background(), k.id, k.created.Blob); err != nil {
		t.Errorf("%v: DestroyKey: %v", k.row.Spec, err)
	}
}

// leaveOut removes specs from the checks, and logs that.
func (s *subject) leaveOut(t tb, left func(driver.KeySpec) bool) {
	s.info.Specs = slices.DeleteFunc(slices.Clone(s.info.Specs), func(row driver.SpecInfo) bool {
		out := left(row.Spec)
		if out {
			t.Logf("%v is left out", row.Spec)
		}
		return out
	})
}

// rows returns the advertised specs of a usage.
func (s *subject) rows(usage driver.Usage) []driver.SpecInfo {
	return slices.DeleteFunc(slices.Clone(s.info.Specs), func(row driver.SpecInfo) bool {
		return row.Spec.Usage != usage
	})
}

// generated returns the advertised specs that GenerateKey supports: all but wrapping
// keys.
func (s *subject) generated() []driver.SpecInfo {
	return slices.DeleteFunc(slices.Clone(s.info.Specs), func(row driver.SpecInfo) bool {
		return row.Spec.Usage == driver.Unwrap
	})
}

// samples returns one inexpensive spec for each usage.
func (s *subject) samples() []driver.SpecInfo {
	var list []driver.SpecInfo
	for _, usage := range []driver.Usage{driver.Derive, driver.Sign, driver.Decrypt} {
		rows := s.rows(usage)
		if len(rows) == 0 {
			continue
		}
		list = append(list, slices.MinFunc(rows, func(a, b driver.SpecInfo) int {
			return a.Spec.Algorithm.ModulusBits() - b.Spec.Algorithm.ModulusBits()
		}))
	}
	return list
}

// key returns the shared key of a spec.
func (s *subject) key(t tb, row driver.SpecInfo) createdKey {
	t.Helper()
	k, ok := s.keys[row.Spec]
	if !ok {
		k = makeKey(t, s.Driver, row)
		s.keys[row.Spec] = k
	}
	return k
}

// makeKey generates material under a fresh id.
func makeKey(t tb, d driver.Driver, row driver.SpecInfo) createdKey {
	t.Helper()
	k := createdKey{id: freshID(), row: row}
	var err error
	if k.created, err = d.GenerateKey(context.Background(), k.id, row.Spec); err != nil {
		t.Fatalf("%v is advertised, but GenerateKey: %v", row.Spec, err)
	}
	return k
}

// material returns host-side material of an algorithm, generated once.
func (s *subject) material(t tb, alg driver.KeyAlgorithm) keyMaterial {
	t.Helper()
	m, ok := s.materials[alg]
	if !ok {
		var err error
		if m, err = generate(alg); err != nil {
			t.Fatalf("making test material for %s: %v", alg, err)
		}
		s.materials[alg] = m
	}
	return m
}

func freshID() (id driver.MaterialID) {
	rand.Read(id[:])
	return id
}

// openKey opens a key as K, the interface of its usage. The caller closes it.
func openKey[K driver.Key](t tb, d driver.Driver, k createdKey) K {
	t.Helper()
	opened, err := d.OpenKey(context.Background(), k.id, k.row.Spec, k.created.Blob)
	if err != nil {
		t.Fatalf("%v: OpenKey: %v", k.row.Spec, err)
	}
	typed, ok := opened.(K)
	if !ok {
		t.Fatalf("%v: OpenKey returned a %T, which does not implement the interface of its usage", k.row.Spec, opened)
	}
	return typed
}

func closeKey(t tb, k driver.Key) {
	t.Helper()
	if err := k.Close(); err != nil {
		t.Errorf("closing a key: %v", err)
	}
}

// sharedKey opens the shared key of a spec.
func sharedKey[K driver.Key](t tb, s *subject, row driver.SpecInfo) K {
	t.Helper()
	return openKey[K](t, s.Driver, s.key(t, row))
}
