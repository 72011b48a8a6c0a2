//go:build cgo && unix

package pkcs11

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"strongroom.example/driver"
)

// maxSealings is the number of sealings in the life of a key. SP 800-38D, section 8.3,
// allows 2^32 invocations with random ivs over all processes. The remainder is for the
// few texts that an import seals to check a key. A call that is repeated after a repair
// counts once, because the first attempt returned no ciphertext.
const maxSealings = 1<<32 - 1<<26

// Sealings are reserved in steps. The first step of a process is small, so that restarts
// waste few, and later ones are larger, so that the token is accessed rarely.
const (
	firstStep = 1 << 16
	lastStep  = 1 << 26
)

// unrecorded is the number of sealings with a key by all drivers of a process if the
// token refuses to store the count. 63 such processes stay within maxSealings.
const unrecorded = 1 << 26

var errSealings = errors.New("the key has sealed as often as is safe: use another")

// A budget is the number of sealings with a key that the token has reserved for this
// driver.
type budget struct {
	left atomic.Int64

	lock lock // guards what follows, and refilling
	step int64
	// without is the process's remaining number of unrecorded sealings.
	without *atomic.Int64
	refused bool // the token cannot store the count, so only without is left
	spent   bool // the token's count has reached maxSealings
}

func newBudget(without *atomic.Int64) *budget {
	return &budget{lock: newLock(), step: firstStep, without: without}
}

// take takes one sealing. It reports false if none is left.
func (b *budget) take() bool { return b.left.Add(-1) >= 0 }

// refill reserves the next step, unless another goroutine did so during the wait for the
// lock.
func (b *budget) refill(ctx context.Context, reserve func(n int64) error) error {
	if err := b.lock.take(ctx); err != nil {
		return err
	}
	defer b.lock.give()
	switch {
	case b.left.Load() > 0:
		return nil
	case b.spent:
		return fault("Seal", driver.Invalid, errSealings)
	}
	if !b.refused {
		err := reserve(b.step)
		b.spent = errors.Is(err, errSealings)
		if b.refused = mayNotWrite(err); !b.refused {
			if err == nil {
				b.left.Store(b.step)
				b.step = min(2*b.step, lastStep)
			}
			return err
		}
	}
	if b.without.Add(-firstStep) < 0 {
		return fault("Seal", driver.Invalid, errSealings)
	}
	b.left.Store(firstStep)
	return nil
}

// mayNotWrite reports whether an error means that the token permanently refuses to store
// the count. Sealing without a record is allowed only after such an error.
func mayNotWrite(err error) bool {
	return errors.Is(err, driver.Unsupported) || errors.Is(err, driver.Denied)
}

// A budgetBook has one budget for each key, shared by all handles of the key.
type budgetBook struct {
	mu   sync.Mutex
	keys map[driver.MaterialID]*budget
}

func (c *budgetBook) of(id driver.MaterialID, without *unrecordedBook) *budget {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[driver.MaterialID]*budget)
	}
	if c.keys[id] == nil {
		c.keys[id] = newBudget(without.of(id))
	}
	return c.keys[id]
}

// An unrecordedBook has the process's remaining number of unrecorded sealings for each
// key of a token.
type unrecordedBook struct {
	mu   sync.Mutex
	keys map[driver.MaterialID]*atomic.Int64
}

func (c *unrecordedBook) of(id driver.MaterialID) *atomic.Int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys == nil {
		c.keys = make(map[driver.MaterialID]*atomic.Int64)
	}
	if c.keys[id] == nil {
		c.keys[id] = new(atomic.Int64)
		c.keys[id].Store(unrecorded)
	}
	return c.keys[id]
}
