package drivertest_test

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// A device dies after it has generated a key: the caller has no result, and the key
// exists. Because creation is repeatable, the caller repeats the call with the same id.
func ExampleFaulty() {
	ctx := context.Background()
	device := drivertest.NewFaulty(drivertest.NewMemory())
	defer device.Close()
	device.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Nth: 1, Fail: true, Class: driver.Unknown, After: true})

	id, spec := driver.MaterialID{1}, driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}
	_, err := device.GenerateKey(ctx, id, spec)
	fmt.Println(err, errors.Is(err, driver.Unknown))
	_, err = device.GenerateKey(ctx, id, spec)
	fmt.Println(err, device.Calls(drivertest.MethodGenerateKey))
	// Output:
	// GenerateKey: unknown failure: injected fault true
	// <nil> 2
}

// A Memory with two specs stands for a device that supports no others.
func ExampleMemory() {
	device := drivertest.NewMemory(
		driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive},
		driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Unwrap})
	defer device.Close()
	for _, row := range device.Info().Specs {
		fmt.Println(row.Spec)
	}
	_, err := device.GenerateKey(context.Background(), driver.MaterialID{1}, driver.KeySpec{Algorithm: driver.SM2, Usage: driver.Sign})
	fmt.Println(errors.Is(err, driver.Unsupported))
	// Output:
	// HMAC_SHA_256/DERIVE
	// RSA_2048/UNWRAP
	// true
}
