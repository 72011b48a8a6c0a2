package keystore_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"

	"strongroom.example/keystore"
	"strongroom.example/keystore/badger"
)

// A store needs a root, an engine, and an Appender for its log. Package vault supplies the
// tree of package audit; the Appender of this example hashes a chain.
func ExampleCreate() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example-")
	check(err)
	defer os.RemoveAll(dir)
	root := make([]byte, 32) // what the protectors wrap
	rand.Read(root)
	cfg := keystore.Config{
		Dir: filepath.Join(dir, "store"), Suite: keystore.SuiteAES, Root: root,
		OpenKeyedEngine: badger.OpenEngine, Salvage: badger.Salvage, Log: chain{},
	}
	s, err := keystore.Create(ctx, cfg, keystore.Root{}, func(tx *keystore.Tx) error {
		tx.Put("greeting/1", []byte("hello"))
		tx.Log(func(seq uint64) []byte { return fmt.Appendf(nil, "record %d", seq) })
		return nil
	})
	check(err)
	defer s.Close()

	r, err := s.Get(ctx, "greeting/1")
	check(err)
	fmt.Println(r) // prints redacted
	fmt.Printf("%s, records in the log: %d, Check: %v\n", r.Value, s.LogState().Size, s.Check(ctx))
	// Output:
	// record "greeting/1", version 1, [REDACTED]
	// hello, records in the log: 1, Check: <nil>
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
