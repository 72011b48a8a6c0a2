// Backoff repeats calls that fail for a moment, and no others: workers above a limit of the
// vault wait and finish, and a call that cannot succeed is made once.
//
//	go run ./examples/backoff
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
	"strongroom.example/vault/throttle"
)

// The limit is low, so that the workers reach it. throttle.CloudQuota has that of a cloud
// service.
var limits = throttle.Config{Classes: map[throttle.Class]throttle.Rate{throttle.Symmetric: {PerSecond: 50, Burst: 10}}}

const (
	workers  = 4
	messages = 10 // of each worker
)

func main() { demo.Main(run) }

func run(ctx context.Context, w io.Writer, dir string) (err error) {
	code, err := soft.NewRecoveryCode() // a real program keeps it
	if err != nil {
		return err
	}
	v, err := vault.Create(ctx, filepath.Join(dir, "vault"), vault.Config{Limiter: throttle.New(limits)}, code)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	c := v.As(vault.DefaultOwner)
	if _, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "records"}); err != nil {
		return err
	}
	if err := burst(ctx, w, c); err != nil {
		return err
	}
	// Another attempt would not help here, and so there is none.
	attempts := 0
	err = vault.Retry(ctx, func(ctx context.Context) error {
		attempts++
		return c.EnableKeys(ctx, "no-such-key")
	})
	if !errors.Is(err, vault.ErrNotFound) {
		return fmt.Errorf("EnableKeys of a key that does not exist: %v", err)
	}
	fmt.Fprintf(w, "a wrong request was made %d time: %v\n", attempts, err)
	return nil
}

// burst has all workers encrypt at once. They share a budget of further attempts, so that
// together they do not keep a busy device busy.
func burst(ctx context.Context, w io.Writer, c vault.Client) error {
	// A call never waits beyond its deadline.
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	policy := vault.RetryPolicy{InitialDelay: 20 * time.Millisecond, Attempts: 20, Budget: vault.NewRetryBudget(1, 1000)}
	var calls, refused atomic.Int64
	var wait sync.WaitGroup
	var errs [workers]error
	begin := time.Now()
	for i := range workers {
		wait.Go(func() {
			for range messages {
				err := policy.Do(ctx, func(ctx context.Context) error {
					calls.Add(1)
					_, err := c.Encrypt(ctx, "records", []byte("4711"), nil)
					if vault.RetryClassOf(err) == vault.RetryDelayed {
						refused.Add(1)
					}
					return err
				})
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	wait.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	if calls.Load()-refused.Load() != workers*messages {
		return fmt.Errorf("%d calls, of which %d were refused", calls.Load(), refused.Load())
	}
	fmt.Fprintf(w, "encrypted %d messages in %.1f s at a limit of 50 a second: %d calls were refused and made again\n",
		workers*messages, time.Since(begin).Seconds(), refused.Load())
	return nil
}
