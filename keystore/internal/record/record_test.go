package record

import (
	"bytes"
	"testing"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/keyring"
)

// FuzzRecord: only bytes that Seal produced are opened.
func FuzzRecord(f *testing.F) {
	arena := lockedmem.New(0)
	k, err := keyring.New(arena, suite.AES)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		k.Free()
		if err := arena.Close(); err != nil {
			f.Error(err)
		}
	})
	at := Key(k, "path")
	good, err := Seal(nil, k, Plain{Class: keyring.Material, Version: 9, Key: at, Path: "path", Value: []byte("value")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:headerSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _, _, err := Open(k, at, b)
		if (err == nil) != bytes.Equal(b, good) {
			t.Errorf("Open: %v, want nil only for the bytes that Seal made", err)
		}
	})
}
