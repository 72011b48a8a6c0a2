package rootfile

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"testing"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
	"strongroom.example/keystore/internal/keyring"
	"strongroom.example/keystore/internal/recordtest"
)

// fuzzKeys returns fresh keys, so that no input from another process is authentic.
func fuzzKeys(f testing.TB, id suite.ID) (*keyring.Keyring, *Keys) {
	f.Helper()
	arena := lockedmem.New(0)
	root := make([]byte, keyring.KeySize)
	rand.Read(root)
	r, err := NewKeys(arena, id, root)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		r.Free()
		if err := arena.Close(); err != nil {
			f.Error(err)
		}
	})
	return recordtest.Keys(f, id), r
}

// FuzzParse: a file that parses is encoded again to the same bytes, and no file but
// the one with the MAC is unlocked.
func FuzzParse(f *testing.F) {
	arena := lockedmem.New(0)
	f.Cleanup(func() { arena.Close() })
	rings, roots := map[suite.ID]*keyring.Keyring{}, map[suite.ID]*Keys{}
	var genuine [][]byte
	for _, id := range []suite.ID{suite.AES, suite.SM} {
		if !id.Usable() {
			continue
		}
		rings[id], roots[id] = fuzzKeys(f, id)
		for _, p := range [][]Protector{nil, {{ID: "a1", Name: "pass", Kind: "passphrase", Blob: []byte("blob")}, {MachineBound: true}}} {
			r, err := Seal(Header{Generation: 3, Edition: 1, Protectors: p}, rings[id], roots[id])
			if err != nil {
				f.Fatal(err)
			}
			genuine = append(genuine, r.raw)
			f.Add(r.raw, true)
			f.Add(r.raw[:len(r.raw)/2], true)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, fixHash bool) {
		if fixHash && len(b) > 40 && suite.ID(b[7]).Valid() {
			b = bytes.Clone(b)
			sum := suite.ID(b[7]).Hash(b[:len(b)-32])
			copy(b[len(b)-32:], sum[:])
		}
		r, err := Parse(b)
		if err != nil {
			return
		}
		again := appendHeader(nil, r.suite, r.Header)
		again = append(binary.BigEndian.AppendUint32(again, uint32(len(r.sealed))), r.sealed...)
		if !bytes.Equal(again, b[:len(b)-64]) {
			t.Error("a root file that parses is encoded to different bytes")
		}
		k, err := r.Unlock(arena, roots[r.suite])
		if err != nil {
			return
		}
		k.Free()
		for _, g := range genuine {
			if bytes.Equal(g, b) {
				return
			}
		}
		t.Error("Unlock of a forged root file returned no error")
	})
}
