package drivertest

import (
	"context"
	"iter"

	"strongroom.example/driver"
)

func optionalMutants() []mutant {
	return []mutant{
		{name: "Random gives zeros", open: over(func(m *Memory) zeroRandom { return zeroRandom{m} }),
			caught: []string{"RandomFills"}},
		{name: "Random fills the first 32 bytes only", open: over(func(m *Memory) shortRandom { return shortRandom{m} }),
			caught: []string{"RandomFills"}},
		{name: "counter stands still", open: over(func(m *Memory) stillCounter { return stillCounter{m} }),
			caught: []string{"CounterCounts"}},
		{name: "counter's name changes", open: over(func(m *Memory) renamedCounter { return renamedCounter{m} }),
			caught: []string{"CounterCounts"}},
		{name: "lister misses a key", open: over(func(m *Memory) blindLister { return blindLister{m} }),
			caught: []string{"ListerNamesKeys"}},
		{name: "lister cannot be left", open: over(func(m *Memory) stubbornLister { return stubbornLister{m} }),
			caught: []string{"ListerNamesKeys"}},
	}
}

type zeroRandom struct{ *Memory }

func (d zeroRandom) Random(ctx context.Context, p []byte) error {
	err := d.Memory.Random(ctx, p)
	clear(p)
	return err
}

type shortRandom struct{ *Memory }

func (d shortRandom) Random(ctx context.Context, p []byte) error {
	return d.Memory.Random(ctx, p[:min(len(p), 32)])
}

type stillCounter struct{ *Memory }

func (d stillCounter) Increment(ctx context.Context) (uint64, error) { return d.Read(ctx) }

type renamedCounter struct{ *Memory }

func (d renamedCounter) Identity(ctx context.Context) (string, error) {
	name, err := d.Memory.Identity(ctx)
	return name + freshID().String(), err
}

type blindLister struct{ *Memory }

func (d blindLister) ListKeys(ctx context.Context) iter.Seq2[driver.MaterialID, error] {
	return func(yield func(driver.MaterialID, error) bool) {
		first := true
		for id, err := range d.Memory.ListKeys(ctx) {
			if (!first || err != nil) && !yield(id, err) {
				return
			}
			first = false
		}
	}
}

// A stubbornLister continues after its caller has stopped the iteration.
type stubbornLister struct{ *Memory }

func (d stubbornLister) ListKeys(ctx context.Context) iter.Seq2[driver.MaterialID, error] {
	return func(yield func(driver.MaterialID, error) bool) {
		for id, err := range d.Memory.ListKeys(ctx) {
			yield(id, err)
		}
	}
}
