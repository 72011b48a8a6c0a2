package drivertest

import (
	"context"
	"fmt"

	"strongroom.example/driver"
)

func contextMutants() []mutant {
	return []mutant{
		{name: "ended context reaches the device", open: withKeys(func(k memorySigner) driver.Key { return heedless{k} }),
			caught: []string{"CanceledNeverReachesDevice"}},
		{name: "ended context reaches the device every other time", open: withKeys(func(k memoryPRF) driver.Key { return halfHeedless{k} }),
			caught: []string{"CanceledNeverReachesDevice"}},
		{name: "ended context destroys", open: over(func(m *Memory) heedlessDestroyer { return heedlessDestroyer{m} }),
			caught: []string{"CanceledNeverReachesDevice"}},
		{name: "context's error is wrapped", open: withKeys(func(k memoryDecrypter) driver.Key { return wrappingContext{k} }),
			caught: []string{"CanceledNeverReachesDevice"}},
		{name: "key ends with the context of OpenKey", open: over(func(m *Memory) leashed { return leashed{m} }),
			caught: []string{"ContextNotKept"}},
	}
}

type heedless struct{ memorySigner }

func (k heedless) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	return k.memorySigner.Sign(context.WithoutCancel(ctx), alg, input)
}

// halfHeedless leaves the choice to a select, a common mistake.
type halfHeedless struct{ memoryPRF }

func (k halfHeedless) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	free := make(chan struct{})
	close(free)
	select {
	case <-ctx.Done():
		return dst, ctx.Err()
	case <-free:
		return k.memoryPRF.PRF(context.WithoutCancel(ctx), dst, input)
	}
}

// A heedlessDestroyer returns the context's error, but after it has acted.
type heedlessDestroyer struct{ *Memory }

func (d heedlessDestroyer) DestroyKey(ctx context.Context, id driver.MaterialID, blob driver.Blob) error {
	if err := d.Memory.DestroyKey(context.WithoutCancel(ctx), id, blob); err != nil {
		return err
	}
	return ctx.Err()
}

type wrappingContext struct{ memoryDecrypter }

func (k wrappingContext) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return dst, fmt.Errorf("Decrypt: %w", err)
	}
	return k.memoryDecrypter.Decrypt(ctx, dst, alg, ciphertext)
}

// A leashed driver closes a key when the context with which it was opened ends.
type leashed struct{ *Memory }

func (d leashed) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	opened, err := d.Memory.OpenKey(ctx, id, spec, blob)
	if err == nil {
		context.AfterFunc(ctx, func() { opened.Close() })
	}
	return opened, err
}
