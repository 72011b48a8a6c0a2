package throttle_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/throttle"
	"strongroom.example/vault/vaulttest"
)

// Each principal may call one operation a second, and two at once. The clock is that of a
// test; a program leaves out Config.Clock.
func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	check(err)
	defer os.RemoveAll(dir)
	code, err := soft.NewRecoveryCode()
	check(err)
	clock := vaulttest.NewClock(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC))
	v, err := vault.Create(ctx, filepath.Join(dir, "keys"), vault.Config{
		Clock:   clock,
		Limiter: throttle.New(throttle.Config{Principal: throttle.Rate{PerSecond: 1, Burst: 2}}),
	}, code)
	check(err)
	defer v.Close()

	c := v.As(vault.DefaultOwner)
	for range 3 {
		_, err = c.GenerateRandom(ctx, 16)
		var e *vault.Error
		if errors.As(err, &e) && errors.Is(err, vault.ErrThrottled) {
			fmt.Println("try again in", e.RetryAfter)
		}
	}
	clock.Advance(time.Second)
	_, err = c.GenerateRandom(ctx, 16)
	fmt.Println(err)
	// Output:
	// try again in 1s
	// <nil>
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
