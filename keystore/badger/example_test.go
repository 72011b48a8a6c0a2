package badger_test

import (
	"context"
	"errors"
	"fmt"
	"os"

	"strongroom.example/keystore"
	"strongroom.example/keystore/badger"
)

// A batch is durable when Commit returns, as a whole or not at all. A store passes
// OpenEngine to keystore.Config instead, so that the engine authenticates its files.
func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	check(err)
	defer os.RemoveAll(dir)
	e, err := badger.Open(dir)
	check(err)
	defer e.Close()

	check(e.Commit(ctx, keystore.Batch{Put: []keystore.Pair{{Key: []byte("k"), Value: []byte("one")}}}))
	err = e.Commit(ctx, keystore.Batch{
		Expect: []keystore.Expectation{{Key: []byte("k"), Value: []byte("two")}},
		Put:    []keystore.Pair{{Key: []byte("k"), Value: []byte("three")}},
	})
	fmt.Println("expectation does not hold:", errors.Is(err, keystore.ErrConflict))
	value, err := e.Get(ctx, []byte("k"))
	check(err)
	fmt.Printf("%s\n", value)
	// Output:
	// expectation does not hold: true
	// one
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
