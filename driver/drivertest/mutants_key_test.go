package drivertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"strongroom.example/driver"
)

func keyMutants() []mutant {
	return []mutant{
		{name: "GenerateKey again is an error", open: over(func(m *Memory) onceOnly { return onceOnly{m} }),
			caught: []string{"GenerateRepeatable"}},
		{name: "GenerateKey again replaces the key", open: over(func(m *Memory) replacing { return replacing{m} }),
			caught: []string{"GenerateRepeatable"}},
		{name: "GenerateKey draws nothing fresh", open: stuck, caught: []string{"GeneratedKeysDiffer"}},
		{name: "absent key is Unknown", open: over(func(m *Memory) vague { return vague{m} }),
			caught: []string{"OpenAbsent"}},
		{name: "absent key is made", open: over(func(m *Memory) eager { return eager{m} }),
			caught: []string{"OpenAbsent", "DestroyTwice"}},
		{name: "object opens under another spec", open: over(func(m *Memory) specless { return specless{m} }),
			caught: []string{"BlobOfOtherSpecRefused"}},
		{name: "DestroyKey of an absent key is an error", open: over(func(m *Memory) strictDestroyer { return strictDestroyer{m} }),
			caught: []string{"DestroyAbsent", "DestroyTwice"}},
		{name: "DestroyKey destroys nothing", open: over(func(m *Memory) keeping { return keeping{m} }),
			caught: []string{"DestroyTwice"}},
		{name: "two handles of one object", open: over(func(m *Memory) twoHandles { return twoHandles{m, new(twins)} }),
			caught: []string{"Concurrent"}},
	}
}

// A twoHandles driver presents a key that was created concurrently with another as two
// objects, and refuses to choose between them.
type twoHandles struct {
	*Memory
	*twins
}

type twins struct {
	making atomic.Int32
	shown  sync.Map // the ids that are presented twice
}

func (d twoHandles) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	defer d.making.Add(-1)
	if d.making.Add(1) > 1 {
		d.shown.Store(id, true)
	}
	time.Sleep(time.Millisecond) // so that calls overlap
	return d.Memory.GenerateKey(ctx, id, spec)
}

func (d twoHandles) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	if _, twice := d.shown.Load(id); twice && ctx.Err() == nil {
		return nil, failure("OpenKey", driver.Unknown, errOther)
	}
	return d.Memory.OpenKey(ctx, id, spec, blob)
}

func (m *Memory) has(id driver.MaterialID) bool {
	m.shelf.mu.Lock()
	defer m.shelf.mu.Unlock()
	return m.shelf.objects[id] != nil
}

type onceOnly struct{ *Memory }

func (d onceOnly) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	if ctx.Err() == nil && d.has(id) {
		return driver.Created{}, failure("GenerateKey", driver.Invalid, errOther)
	}
	return d.Memory.GenerateKey(ctx, id, spec)
}

type replacing struct{ *Memory }

func (d replacing) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	if err := d.DestroyKey(ctx, id, nil); err != nil {
		return driver.Created{}, err
	}
	return d.Memory.GenerateKey(ctx, id, spec)
}

// A stuckGenerator returns the same key pair for every id.
type stuckGenerator struct {
	*Memory
	pair keyMaterial
}

func stuck() driver.Driver {
	pair, err := generate(driver.ECP256)
	if err != nil {
		panic(err)
	}
	return stuckGenerator{NewMemory(spec(driver.ECP256, driver.Sign)), pair}
}

func (d stuckGenerator) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	if _, err := d.Memory.GenerateKey(ctx, freshID(), spec); err != nil {
		return driver.Created{}, err
	}
	return d.shelf.place("GenerateKey", id, spec, d.pair)
}

type vague struct{ *Memory }

func (d vague) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	opened, err := d.Memory.OpenKey(ctx, id, spec, blob)
	if errors.Is(err, driver.NotFound) {
		err = failure("OpenKey", driver.Unknown, errAbsent)
	}
	return opened, err
}

type eager struct{ *Memory }

func (d eager) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	if _, err := d.GenerateKey(ctx, id, spec); err != nil {
		return nil, err
	}
	return d.Memory.OpenKey(ctx, id, spec, blob)
}

// A specless driver checks the id only.
type specless struct{ *Memory }

func (d specless) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	opened, err := d.Memory.OpenKey(ctx, id, spec, blob)
	for _, row := range d.Info().Specs {
		if errors.Is(err, driver.Authentic) {
			opened, err = d.Memory.OpenKey(ctx, id, row.Spec, blob)
		}
	}
	return opened, err
}

type strictDestroyer struct{ *Memory }

func (d strictDestroyer) DestroyKey(ctx context.Context, id driver.MaterialID, blob driver.Blob) error {
	there := d.has(id)
	err := d.Memory.DestroyKey(ctx, id, blob)
	if err == nil && !there {
		return failure("DestroyKey", driver.NotFound, errAbsent)
	}
	return err
}

type keeping struct{ *Memory }

func (d keeping) DestroyKey(ctx context.Context, _ driver.MaterialID, _ driver.Blob) error {
	return d.Memory.DestroyKey(ctx, freshID(), nil)
}
