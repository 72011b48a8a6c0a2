package drivertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"strconv"
	"sync"

	"strongroom.example/driver"
	"strongroom.example/internal/gate"
)

// Memory is a complete driver over the standard library and gmsm. Its keys are objects in
// the process's heap: blobs are empty, material is resident, and creation returns the
// object that already exists. It has every optional interface.
//
// It is a test double and protects nothing. Material is neither locked nor wiped, and the
// protection level is SOFTWARE.
type Memory struct {
	gate  gate.Gate
	shelf *shelf
	specs []driver.SpecInfo
}

var (
	_ driver.Driver          = (*Memory)(nil)
	_ driver.Importer        = (*Memory)(nil)
	_ driver.WrappedImporter = (*Memory)(nil)
	_ driver.Lister          = (*Memory)(nil)
	_ driver.Random          = (*Memory)(nil)
	_ driver.Counter         = (*Memory)(nil)
)

// A shelf is the device: it persists when a Memory is closed.
type shelf struct {
	mu      sync.Mutex
	objects map[driver.MaterialID]*object
	counter uint64
	serial  string
}

// An object is one key on the shelf. It is immutable.
type object struct {
	spec     driver.KeySpec
	material keyMaterial
	local    bool // generated here
}

// NewMemory returns a driver with an empty device of its own. It supports only the named
// specs, or all if none is named. RSA is limited to 2048 bits.
func NewMemory(only ...driver.KeySpec) *Memory {
	return &Memory{
		shelf: &shelf{objects: make(map[driver.MaterialID]*object), serial: rand.Text()},
		specs: memorySpecs(only),
	}
}

// Reopen returns another driver over the same device, as after a restart.
func (m *Memory) Reopen() *Memory { return &Memory{shelf: m.shelf, specs: m.specs} }

// Info returns the device's capabilities.
func (m *Memory) Info() driver.Info {
	return driver.Info{
		Name:    "memory",
		Level:   driver.LevelSoftware,
		Device:  driver.Device{Manufacturer: "Strongroom", Model: "test double", Serial: m.shelf.serial},
		Specs:   m.specs,
		Lister:  true,
		Random:  true,
		Counter: true,
	}
}

var (
	errSpec     = errors.New("the device does not do this spec")
	errOther    = errors.New("the id holds other material")
	errAbsent   = errors.New("no such object")
	errNotEmpty = errors.New("objects of this device have no blob")
)

// GenerateKey generates an object, or returns the existing one. An id that holds other
// material, or imported material, is Invalid.
func (m *Memory) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	const op = "GenerateKey"
	if err := enter(ctx, &m.gate, op); err != nil {
		return driver.Created{}, err
	}
	defer m.gate.Leave()
	if _, ok := m.Info().Find(spec); !ok || spec.Usage == driver.Unwrap {
		return driver.Created{}, failure(op, driver.Unsupported, errSpec)
	}
	return m.shelf.create(op, id, spec, func() (keyMaterial, error) { return generate(spec.Algorithm) })
}

// create stores the material of fresh under id, unless an object exists there.
func (s *shelf) create(op string, id driver.MaterialID, spec driver.KeySpec, fresh func() (keyMaterial, error)) (driver.Created, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[id]
	if !ok {
		made, err := fresh()
		if err != nil {
			return driver.Created{}, failure(op, driver.Unknown, err)
		}
		o = &object{spec: spec, material: made, local: true}
		s.objects[id] = o
	}
	if o.spec != spec || !o.local {
		return driver.Created{}, failure(op, driver.Invalid, errOther)
	}
	return o.created(op)
}

// place stores made under id. An object that exists there must be the same.
func (s *shelf) place(op string, id driver.MaterialID, spec driver.KeySpec, made keyMaterial) (driver.Created, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.objects[id]; ok && (o.spec != spec || !o.material.equal(made)) {
		return driver.Created{}, failure(op, driver.Invalid, errOther)
	}
	o := &object{spec: spec, material: made}
	s.objects[id] = o
	return o.created(op)
}

func (o *object) created(op string) (driver.Created, error) {
	der, err := o.material.public()
	if err != nil {
		return driver.Created{}, failure(op, driver.Unknown, err)
	}
	return driver.Created{PublicDER: der, Attributes: map[string]string{"token": "false", "local": strconv.FormatBool(o.local)}}, nil
}

// OpenKey opens an object. A blob that is not empty, or an id that holds another spec, is
// Authentic.
func (m *Memory) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	const op = "OpenKey"
	if err := enter(ctx, &m.gate, op); err != nil {
		return nil, err
	}
	defer m.gate.Leave()
	row, ok := m.Info().Find(spec)
	if !ok {
		return nil, failure(op, driver.Unsupported, errSpec)
	}
	m.shelf.mu.Lock()
	o := m.shelf.objects[id]
	m.shelf.mu.Unlock()
	switch {
	case len(blob) != 0:
		return nil, failure(op, driver.Authentic, errNotEmpty)
	case o == nil:
		return nil, failure(op, driver.NotFound, errAbsent)
	case o.spec != spec:
		return nil, failure(op, driver.Authentic, errOther)
	}
	return open(memoryKey{device: m, own: new(gate.Gate), row: row, material: o.material}), nil
}

// DestroyKey removes an object from the shelf. Open keys remain usable.
func (m *Memory) DestroyKey(ctx context.Context, id driver.MaterialID, _ driver.Blob) error {
	if err := enter(ctx, &m.gate, "DestroyKey"); err != nil {
		return err
	}
	defer m.gate.Leave()
	m.shelf.mu.Lock()
	defer m.shelf.mu.Unlock()
	delete(m.shelf.objects, id)
	return nil
}

// Close waits for running calls. The device keeps its objects, for Reopen.
func (m *Memory) Close() error {
	m.gate.Shut()
	return nil
}

func (a keyMaterial) equal(b keyMaterial) bool {
	x, errX := a.encode()
	y, errY := b.encode()
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

var errClosed = errors.New("it is closed")

// enter admits a call into what g closes; the call must end with g.Leave. It rejects a
// call whose context is done.
func enter(ctx context.Context, g *gate.Gate, op string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !g.Enter() {
		return failure(op, driver.Unavailable, errClosed)
	}
	return nil
}

func failure(op string, class driver.Class, cause error) error {
	return &driver.Error{Op: op, Class: class, Err: cause}
}
