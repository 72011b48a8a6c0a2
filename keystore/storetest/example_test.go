package storetest_test

import (
	"context"
	"fmt"

	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// A test of a store changes the contents of the engine, as a tampering program would.
func ExampleMemory() {
	ctx := context.Background()
	m := storetest.NewMemory()
	err := m.Commit(ctx, keystore.Batch{Put: []keystore.Pair{{Key: []byte("k"), Value: []byte("sealed")}}})
	fmt.Println(err)
	m.Change("k", []byte("Sealed"))
	value, err := m.Get(ctx, []byte("k"))
	fmt.Printf("%s %v\n", value, err)
	// Output:
	// <nil>
	// Sealed <nil>
}
