package drivertest

import (
	"context"
	"errors"

	"strongroom.example/driver"
)

func errorMutants() []mutant {
	return []mutant{
		{name: "errors of no class", open: withKeys(func(k memoryPRF) driver.Key { return classless{k} }),
			caught: []string{"ErrorsAreClassified"}},
		{name: "errors of no operation", open: withKeys(func(k memoryPRF) driver.Key { return nameless{k} }),
			caught: []string{"ErrorsAreClassified"}},
		{name: "panic on a large input", open: withKeys(func(k memoryPRF) driver.Key { return fragile{k} }),
			caught: []string{"HostileInput"}},
		{name: "panic on a large blob", open: over(func(m *Memory) fragileOpener { return fragileOpener{m} }),
			caught: []string{"HostileInput"}},
	}
}

type classless struct{ memoryPRF }

func (k classless) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	out, err := k.memoryPRF.PRF(ctx, dst, input)
	if errors.Is(err, driver.Invalid) {
		err = errLength
	}
	return out, err
}

type nameless struct{ memoryPRF }

func (k nameless) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	out, err := k.memoryPRF.PRF(ctx, dst, input)
	if errors.Is(err, driver.Invalid) {
		err = failure("", driver.Invalid, errLength)
	}
	return out, err
}

type fragile struct{ memoryPRF }

func (k fragile) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	if len(input) > 64<<10 {
		panic("the device's buffer has 64 KiB")
	}
	return k.memoryPRF.PRF(ctx, dst, input)
}

type fragileOpener struct{ *Memory }

func (d fragileOpener) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	if len(blob) > 64<<10 {
		panic("the device's buffer has 64 KiB")
	}
	return d.Memory.OpenKey(ctx, id, spec, blob)
}
