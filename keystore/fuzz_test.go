package keystore

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"slices"
	"testing"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// fuzzKeys returns fresh keys, so that no input from another process is authentic.
func fuzzKeys(f testing.TB, id suite.ID) (*keyring, *rootKeys) {
	f.Helper()
	arena := lockedmem.New(0)
	k, err := newKeyring(arena, id)
	if err != nil {
		f.Fatal(err)
	}
	root := make([]byte, keySize)
	rand.Read(root)
	r, err := newRootKeys(arena, id, root)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		k.free()
		r.free()
		if err := arena.Close(); err != nil {
			f.Error(err)
		}
	})
	return k, r
}

// FuzzParseRoot: a file that parses is encoded again to the same bytes, and no file but
// the one with the MAC is unlocked.
func FuzzParseRoot(f *testing.F) {
	arena := lockedmem.New(0)
	f.Cleanup(func() { arena.Close() })
	rings, roots := map[suite.ID]*keyring{}, map[suite.ID]*rootKeys{}
	var genuine [][]byte
	for _, id := range []suite.ID{suite.AES, suite.SM} {
		if !id.Usable() {
			continue
		}
		rings[id], roots[id] = fuzzKeys(f, id)
		for _, p := range [][]Protector{nil, {{ID: "a1", Name: "pass", Kind: "passphrase", Blob: []byte("blob")}, {MachineBound: true}}} {
			r, err := encodeRoot(Root{Generation: 3, Edition: 1, Protectors: p}, rings[id], roots[id])
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
		r, err := parseRoot(b)
		if err != nil {
			return
		}
		again := appendRootHeader(nil, *r)
		for _, p := range r.Protectors {
			again = appendProtector(again, p)
		}
		again = append(binary.BigEndian.AppendUint32(again, uint32(len(r.sealed))), r.sealed...)
		if !bytes.Equal(again, b[:len(b)-64]) {
			t.Error("a root file that parses is encoded to different bytes")
		}
		k, err := r.unlock(arena, roots[r.suite])
		if err != nil {
			return
		}
		k.free()
		for _, g := range genuine {
			if bytes.Equal(g, b) {
				return
			}
		}
		t.Error("unlock of a forged root file returned no error")
	})
}

func FuzzKeyring(f *testing.F) {
	k, _ := fuzzKeys(f, suite.AES)
	f.Add(k.bytes())
	f.Add(make([]byte, keyringSize(2, 2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := keyring{suite: suite.AES}
		if k.parse(b) == nil && (len(b) != keyringSize(k.records, len(k.material)) || k.current(Material) == 0 || k.current(Meta) == 0) {
			t.Errorf("parse accepted a keyring of %d bytes with %d record and %d material epochs", len(b), k.records, len(k.material))
		}
	})
}

func FuzzHead(f *testing.F) {
	f.Add(head{}.encode(nil))
	f.Add(head{generation: 7, log: LogState{Size: 3, Frontier: make([][32]byte, 2)}, epoch: 1}.encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHead(b); err == nil && !bytes.Equal(h.encode(nil), b) {
			t.Error("a head that parses is encoded to different bytes")
		}
	})
}

func FuzzTip(f *testing.F) {
	k, _ := fuzzKeys(f, suite.AES)
	good := (&tip{}).encode(k, tipState{generation: 5, size: 2})
	f.Add(good, true)
	f.Add(good, false)
	f.Fuzz(func(t *testing.T, b []byte, forge bool) {
		if len(b) != tipUsed {
			return
		}
		if forge { // with a valid MAC
			mac := k.suite.MAC(k.tipKey(), b[:tipBody])
			b = append(bytes.Clone(b[:tipBody]), mac[:]...)
		}
		if s, ok := parseTip(k, b); ok && !bytes.Equal((&tip{}).encode(k, s), b) {
			t.Error("a tip slot that parses is encoded to different bytes")
		}
	})
}

func FuzzSegment(f *testing.F) {
	one, _ := appendSegment(nil, [][]byte{[]byte("leaf"), nil, []byte("another")})
	f.Add(one, uint64(3))
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, n uint64) {
		leaves, ok := parseSegment(b, n)
		if !ok {
			return
		}
		if uint64(len(leaves)) != n {
			t.Fatalf("parseSegment returned %d leaves, want %d", len(leaves), n)
		}
		for len(leaves) > 0 {
			again, taken := appendSegment(nil, leaves)
			if same, ok := parseSegment(again, uint64(taken)); !ok || !slices.EqualFunc(same, leaves[:taken], bytes.Equal) {
				t.Fatal("a segment that parses is encoded to different leaves")
			}
			if len(again) > maxSegment && len(leaves[0]) < MaxValue-maxStep {
				t.Fatalf("appendSegment returned %d bytes, want at most maxSegment", len(again))
			}
			leaves = leaves[taken:]
		}
	})
}

// FuzzRecord: only bytes that seal produced are opened.
func FuzzRecord(f *testing.F) {
	k, _ := fuzzKeys(f, suite.AES)
	at := k.engineKey("path")
	var s sealer
	good, err := s.seal(nil, k, unsealed{id: recordID{Material, 1, 9}, at: at, path: "path", value: []byte("value")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:recordHeader])
	f.Fuzz(func(t *testing.T, b []byte) {
		var s sealer
		_, _, _, err := s.open(k, at, b)
		if (err == nil) != bytes.Equal(b, good) {
			t.Errorf("open: %v, want nil only for the bytes that seal made", err)
		}
	})
}
