package vault

import (
	"context"
	"fmt"

	"strongroom.example/internal/suite"
)

// MaxRandom is how many bytes GenerateRandom and a data key have at most.
const MaxRandom = 1024

// GenerateRandom returns n random bytes, 1 to MaxRandom, from the operating system
// hedged by the vault's own key. The caller wipes them.
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
