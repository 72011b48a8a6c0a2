package soft_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// TestCloseWhileRunning checks that each call during Close either returns a correct
// result or fails with Unavailable, and that no call reads memory that Close has
// unmapped.
func TestCloseWhileRunning(t *testing.T) {
	ctx := context.Background()
	for range 20 {
		d := newDriver(t, soft.Config{})
		key := importKey(t, d, prfSpec, make([]byte, 32)).(driver.PRF)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					out, err := key.PRF(ctx, nil, []byte("x"))
					if err != nil {
						if !errors.Is(err, driver.Unavailable) {
							t.Error(err)
						}
						return
					}
					if len(out) != 32 {
						t.Errorf("%d bytes", len(out))
					}
				}
			})
		}
		wg.Go(func() { key.Close() })
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
}
