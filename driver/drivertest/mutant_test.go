package drivertest

import (
	"context"
	"crypto/rand"
	"maps"
	"slices"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// A mutant is a driver with one deliberate fault, and the checks that must find it. Other
// checks may find it too.
type mutant struct {
	name   string
	open   func() driver.Driver
	reopen func(driver.Driver) driver.Driver
	caught []string
}

func mutants() []mutant {
	return slices.Concat(prfMutants(), signMutants(), decryptMutants(), tableMutants(), keyMutants(), importMutants(),
		wrappedMutants(), blobMutants(), contextMutants(), closeMutants(), reopenMutants(), replacedMutants(), optionalMutants(), errorMutants(), deadlineMutants())
}

// findings runs the suite over a driver. It returns the checks that fail, with the first
// message of each. The engine's RSA is left out, because it is slow and no mutant changes
// it.
func findings(m mutant) map[string]string {
	found := make(map[string]string)
	note := func(name string, check func(*recorder)) {
		r := new(recorder)
		r.run(func() { check(r) })
		if failure, failed := r.first(); failed {
			found[name] = failure
		}
	}
	var reopen func(tb, driver.Driver) driver.Driver
	if m.reopen != nil {
		reopen = func(_ tb, d driver.Driver) driver.Driver { return m.reopen(d) }
	}
	var s *subject
	note("open", func(r *recorder) {
		s = newSubject(r, func(tb) driver.Driver { return m.open() }, reopen)
		if s.info.Name == "soft" {
			s.leaveOut(r, func(spec driver.KeySpec) bool { return spec.Algorithm.ModulusBits() != 0 })
		}
	})
	for _, c := range checks() {
		note(c.name, func(r *recorder) { c.run(r, s) })
	}
	note("close", func(r *recorder) { s.close(r) })
	return found
}

// TestMutants tests the suite itself: each fault must be found by the checks for it.
func TestMutants(t *testing.T) {
	for _, m := range mutants() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			found := findings(m)
			if len(m.caught) == 0 {
				t.Errorf("the mutant names no check")
			}
			for _, name := range m.caught {
				if failure, ok := found[name]; ok {
					t.Logf("%s: %s", name, failure)
				} else {
					t.Errorf("the check %s does not find the fault", name)
				}
			}
			t.Logf("the fault is found by %q", slices.Sorted(maps.Keys(found)))
		})
	}
}

// TestControl runs the suite over the drivers that the mutants are derived from,
// unchanged. It must find nothing.
func TestControl(t *testing.T) {
	for _, m := range []mutant{
		{name: "memory", open: func() driver.Driver { return NewMemory() }, reopen: reopenMemory},
		{name: "memory, RSA only", open: func() driver.Driver { return NewMemory(rsaSpecs()...) }, reopen: reopenMemory},
		{name: "memory, private keys wrapped", open: func() driver.Driver { return privateWrapping() }, reopen: func(d driver.Driver) driver.Driver {
			return wrappedPrivate{d.(wrappedPrivate).Reopen()}
		}},
		softMutant(mutant{name: "soft"}, func(d *soft.Driver) driver.Driver { return d }),
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			for check, failure := range findings(m) {
				t.Errorf("%s: %s", check, failure)
			}
		})
	}
}

// TestEveryCheckFindsAMutant checks that no check is without a mutant that fails it.
func TestEveryCheckFindsAMutant(t *testing.T) {
	named := make(map[string]bool)
	for _, m := range mutants() {
		for _, name := range m.caught {
			named[name] = true
		}
	}
	for _, c := range checks() {
		if !named[c.name] {
			t.Errorf("the check %s has no mutant", c.name)
		}
		delete(named, c.name)
	}
	for name := range named {
		t.Errorf("a mutant names %s, which is not a check", name)
	}
}

func reopenMemory(d driver.Driver) driver.Driver { return d.(*Memory).Reopen() }

// spec abbreviates a KeySpec.
func spec(alg driver.KeyAlgorithm, usage driver.Usage) driver.KeySpec {
	return driver.KeySpec{Algorithm: alg, Usage: usage}
}

func rsaSpecs() []driver.KeySpec {
	return []driver.KeySpec{spec(driver.RSA2048, driver.Sign), spec(driver.RSA2048, driver.Decrypt)}
}

// smallMemory returns a Memory with inexpensive specs of the named usages, or of all.
func smallMemory(usages ...driver.Usage) *Memory {
	cheap := []driver.KeySpec{spec(driver.HMACSHA256, driver.Derive), spec(driver.HMACSM3, driver.Derive),
		spec(driver.ECP256, driver.Sign), spec(driver.SM2, driver.Decrypt)}
	return NewMemory(slices.DeleteFunc(cheap, func(spec driver.KeySpec) bool {
		return len(usages) > 0 && !slices.Contains(usages, spec.Usage)
	})...)
}

// usageOf returns the usage of a kind of key.
func usageOf(k driver.Key) driver.Usage {
	switch k.(type) {
	case driver.PRF:
		return driver.Derive
	case driver.Signer:
		return driver.Sign
	}
	return driver.Decrypt
}

// over returns a function that opens a small Memory with a fault.
func over[D driver.Driver](bend func(*Memory) D) func() driver.Driver {
	return func() driver.Driver { return bend(smallMemory()) }
}

// withKeys returns a function that opens a small Memory of one usage, whose keys have a
// fault.
func withKeys[K driver.Key](bend func(K) driver.Key) func() driver.Driver {
	var kind K
	return func() driver.Driver { return rekeyed[K]{smallMemory(usageOf(kind)), bend} }
}

type rekeyed[K driver.Key] struct {
	*Memory
	bend func(K) driver.Key
}

func (d rekeyed[K]) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	opened, err := d.Memory.OpenKey(ctx, id, spec, blob)
	if k, ok := opened.(K); ok {
		return d.bend(k), nil
	}
	return opened, err
}

// softMutant returns an engine with a fault. A restart is an engine with the same
// wrapping key.
func softMutant[D driver.Driver](m mutant, bend func(*soft.Driver) D) mutant {
	key := make([]byte, soft.KeySize)
	rand.Read(key)
	m.open = func() driver.Driver {
		d, err := soft.Open(context.Background(), soft.Config{Key: key})
		if err != nil {
			panic(err)
		}
		return bend(d)
	}
	m.reopen = func(driver.Driver) driver.Driver { return m.open() }
	return m
}
