package drivertest

import (
	"context"

	"strongroom.example/driver"
)

// replacedMutants returns drivers that identify an object by its id alone.
func replacedMutants() []mutant {
	return []mutant{
		{name: "squatter", open: over(func(m *Memory) squatted { return squatted{m} }),
			caught: []string{"SquatterRefused"}},
		{name: "swapped object", open: over(func(m *Memory) following { return following{m} }),
			caught: []string{"ReplacedObjectTracked"}},
		{name: "swapped object after a restart", open: func() driver.Driver { return smallMemory() },
			reopen: func(d driver.Driver) driver.Driver { return swapped(d.(*Memory)) },
			caught: []string{"ReopenKeepsKeys"}},
	}
}

// A squatted device accepts any object under an id as one that it generated.
type squatted struct{ *Memory }

func (d squatted) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	d.shelf.mu.Lock()
	if o := d.shelf.objects[id]; o != nil && o.spec == spec {
		d.shelf.objects[id] = &object{spec: spec, material: o.material, local: true}
	}
	d.shelf.mu.Unlock()
	return d.Memory.GenerateKey(ctx, id, spec)
}

// A following device makes open keys use whatever object is under their id.
type following struct{ *Memory }

func (d following) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	opened, err := d.Memory.OpenKey(ctx, id, spec, blob)
	if prf, ok := opened.(driver.PRF); ok {
		return followingPRF{prf, prf, d.Memory, id, spec}, nil
	}
	return opened, err
}

type followingPRF struct {
	driver.Key
	first driver.PRF
	of    *Memory
	id    driver.MaterialID
	spec  driver.KeySpec
}

func (k followingPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	if now, err := k.of.OpenKey(ctx, k.id, k.spec, nil); err == nil {
		defer now.Close()
		return now.(driver.PRF).PRF(ctx, dst, input)
	}
	return k.first.PRF(ctx, dst, input)
}

// swapped returns a device after a restart, with other material under every id.
func swapped(m *Memory) *Memory {
	m = m.Reopen()
	m.shelf.mu.Lock()
	defer m.shelf.mu.Unlock()
	for id, o := range m.shelf.objects {
		if made, err := generate(o.spec.Algorithm); err == nil {
			m.shelf.objects[id] = &object{spec: o.spec, material: made, local: o.local}
		}
	}
	return m
}
