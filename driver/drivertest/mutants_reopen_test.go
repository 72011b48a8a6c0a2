package drivertest

import (
	"context"
	"sync/atomic"

	"strongroom.example/driver"
)

func reopenMutants() []mutant {
	return []mutant{
		{name: "restart loses the keys", open: func() driver.Driver { return smallMemory() },
			reopen: func(driver.Driver) driver.Driver { return smallMemory() },
			caught: []string{"ReopenKeepsKeys"}},
		{name: "restart loses the count", open: func() driver.Driver { return volatileCounter{smallMemory(), new(atomic.Uint64)} },
			reopen: func(d driver.Driver) driver.Driver {
				return volatileCounter{d.(volatileCounter).Reopen(), new(atomic.Uint64)}
			},
			caught: []string{"ReopenKeepsCounter"}},
	}
}

type volatileCounter struct {
	*Memory
	count *atomic.Uint64
}

func (d volatileCounter) Read(ctx context.Context) (uint64, error) {
	_, err := d.Memory.Read(ctx)
	return d.count.Load(), err
}

func (d volatileCounter) Increment(ctx context.Context) (uint64, error) {
	if _, err := d.Memory.Increment(ctx); err != nil {
		return 0, err
	}
	return d.count.Add(1), nil
}
