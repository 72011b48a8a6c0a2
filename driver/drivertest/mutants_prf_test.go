package drivertest

import (
	"context"
	"crypto/sha512"
	"slices"
	"sync"
	"time"

	"strongroom.example/driver"
)

func prfMutants() []mutant {
	return []mutant{
		{name: "PRF is random", open: withKeys(func(k memoryPRF) driver.Key { return randomPRF{k} }),
			caught: []string{"PRFKnownAnswer", "PRFDeterministicAndDistinct"}},
		{name: "PRF is the same under every key", open: withKeys(keylessPRF),
			caught: []string{"PRFDeterministicAndDistinct"}},
		{name: "PRF by another hash", open: withKeys(func(k memoryPRF) driver.Key { return otherHash{k} }),
			caught: []string{"PRFKnownAnswer"}},
		{name: "PRF of the first 1024 bytes only", open: withKeys(func(k memoryPRF) driver.Key { return shortPRF{k} }),
			caught: []string{"PRFKnownAnswer"}},
		{name: "PRF of the first 20 bytes only, and no import to compare with", open: headPRFs,
			caught: []string{"PRFDeterministicAndDistinct"}},
		{name: "PRF of 4097 bytes", open: withKeys(func(k memoryPRF) driver.Key { return boundlessPRF{k} }),
			caught: []string{"PRFTooLong"}},
		{name: "PRF overwrites dst", open: withKeys(func(k memoryPRF) driver.Key { return overwritingPRF{k} }),
			caught: []string{"DstAppended"}},
		{name: "PRF moves dst", open: withKeys(func(k memoryPRF) driver.Key { return movingPRF{k} }),
			caught: []string{"DstAppended"}},
		{name: "PRF wipes its input", open: withKeys(func(k memoryPRF) driver.Key { return wipingPRF{k} }),
			caught: []string{"InputNotModified"}},
		{name: "PRF gives a caller the output of another", open: withKeys(func(k memoryPRF) driver.Key { return &crossedPRF{memoryPRF: k} }),
			caught: []string{"Concurrent"}},
	}
}

type randomPRF struct{ memoryPRF }

func (k randomPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	return k.memoryPRF.PRF(ctx, dst, append(randomBytes(8), input...))
}

func keylessPRF(k memoryPRF) driver.Key {
	k.material.raw = make([]byte, 32)
	return k
}

type otherHash struct{ memoryPRF }

func (k otherHash) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	if _, err := k.memoryPRF.PRF(ctx, nil, input); err != nil {
		return dst, err
	}
	sum := sha512.Sum512_256(slices.Concat(k.material.raw, input))
	return append(dst, sum[:]...), nil
}

type shortPRF struct{ memoryPRF }

func (k shortPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	if len(input) <= driver.MaxInput {
		input = input[:min(len(input), 1024)]
	}
	return k.memoryPRF.PRF(ctx, dst, input)
}

type headPRF struct{ memoryPRF }

func (k headPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	if len(input) <= driver.MaxInput {
		input = input[:min(len(input), 20)]
	}
	return k.memoryPRF.PRF(ctx, dst, input)
}

func headPRFs() driver.Driver {
	m := smallMemory(driver.Derive)
	for i := range m.specs {
		m.specs[i].Import = false
	}
	return rekeyed[memoryPRF]{m, func(k memoryPRF) driver.Key { return headPRF{k} }}
}

type boundlessPRF struct{ memoryPRF }

func (k boundlessPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	return k.memoryPRF.PRF(ctx, dst, input[:min(len(input), driver.MaxInput)])
}

type overwritingPRF struct{ memoryPRF }

func (k overwritingPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	return k.memoryPRF.PRF(ctx, dst[:0], input)
}

type movingPRF struct{ memoryPRF }

func (k movingPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	return k.memoryPRF.PRF(ctx, slices.Clip(dst), input)
}

type wipingPRF struct{ memoryPRF }

func (k wipingPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	defer clear(input)
	return k.memoryPRF.PRF(ctx, dst, input)
}

// A crossedPRF has one buffer for all results. It is locked, so that the race detector
// reports nothing.
type crossedPRF struct {
	memoryPRF
	mu     sync.Mutex
	result []byte
}

func (k *crossedPRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	out, err := k.memoryPRF.PRF(ctx, nil, input)
	if err != nil {
		return dst, err
	}
	k.mu.Lock()
	k.result = out
	k.mu.Unlock()
	time.Sleep(time.Millisecond)
	k.mu.Lock()
	defer k.mu.Unlock()
	return append(dst, k.result...), nil
}
