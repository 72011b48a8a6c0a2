// Package recordtest makes keys and sealed records for the tests of the packages that use them.
package recordtest

import (
	"testing"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/record"
)

// Keys returns fresh keys, so that no input from another process is authentic. They are freed
// at the end of the test.
func Keys(t testing.TB, id suite.ID) *keyring.Keyring {
	t.Helper()
	arena := lockedmem.New(0)
	k, err := keyring.New(arena, id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		k.Free()
		if err := arena.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

// Sealed returns a record at path, and its key in the engine.
func Sealed(t testing.TB, k *keyring.Keyring, path string, version uint64) (key, sealed []byte) {
	t.Helper()
	key = record.Key(k, path)
	sealed, err := record.Seal(nil, k, record.Plain{Class: keyring.Meta, Version: version, Key: key, Path: path, Value: []byte("value")})
	if err != nil {
		t.Fatal(err)
	}
	return key, sealed
}
