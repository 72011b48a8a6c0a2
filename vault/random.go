package vault

import (
	"context"
	"fmt"

	"strongroom.example/internal/suite"
)

// MaxRandom is the maximum length of GenerateRandom's result and of a data key, in bytes.
const MaxRandom = 1024

// GenerateRandom returns n random bytes, 1 to MaxRandom, from the operating system's
// generator mixed with the vault's own key. The caller wipes them. Errors: ErrInvalid,
// ErrTooLarge.
func (c Client) GenerateRandom(ctx context.Context, n int) ([]byte, error) {
	if err := checkRandomSize(n); err != nil {
		return nil, c.reject(ctx, request{op: OpGenerateRandom}, err)
	}
	out := make([]byte, n)
	err := c.onVault(ctx, request{op: OpGenerateRandom}, func(_ context.Context, e *entry) error {
		c.vault.hedge.fill(out)
		e.rec.OutputSize = uint64(n)
		return nil
	})
	if err != nil {
		suite.Wipe(out)
		return nil, err
	}
	return out, nil
}

func checkRandomSize(n int) error {
	if n < 1 {
		return invalid("%d bytes; the least is 1", n)
	}
	if n > MaxRandom {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, n, MaxRandom)
	}
	return nil
}
