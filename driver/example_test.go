package driver_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// A key is made, opened and used. Info lists the specs of the driver; a call with any other
// spec fails with Unsupported.
func ExampleDriver() {
	ctx := context.Background()
	d, err := soft.Open(ctx, soft.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer d.Close()
	id := driver.MaterialID{1} // a program uses 16 random bytes
	spec := driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}
	row, ok := d.Info().Find(spec)
	fmt.Println(row.Spec, ok, d.Info().Level)
	made, err := d.GenerateKey(ctx, id, spec)
	if err != nil {
		log.Fatal(err)
	}
	key, err := d.OpenKey(ctx, id, spec, made.Blob)
	if err != nil {
		log.Fatal(err)
	}
	defer key.Close()
	out, err := key.(driver.PRF).PRF(ctx, nil, []byte("input"))
	fmt.Println(len(out), err)
	_, err = d.GenerateKey(ctx, id, driver.KeySpec{Algorithm: "DES", Usage: driver.Derive})
	fmt.Println(errors.Is(err, driver.Unsupported))
	// Output:
	// HMAC_SHA_256/DERIVE true SOFTWARE
	// 32 <nil>
	// true
}

// The class of an error determines whether the call may be made again.
func ExampleClass_Retryable() {
	err := error(&driver.Error{Op: "C_Sign", Class: driver.Unavailable, Err: errors.New("the card was removed")})
	var e *driver.Error
	if errors.As(err, &e) {
		fmt.Println(e.Class, e.Class.Retryable())
	}
	fmt.Println(driver.Denied, driver.Denied.Retryable())
	// Output:
	// unavailable true
	// denied false
}
