package keyring

import (
	"bytes"
	"errors"
	"strongroom.example/keystore/internal/fault"
	"testing"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// TestKeyringEpochs: over several epochs past record keys are kept, past material keys
// are dropped, and no two keys are equal.
func TestKeyringEpochs(t *testing.T) {
	arena := lockedmem.New(0)
	k, err := New(arena, suite.AES)
	step := func(next func(*lockedmem.Arena) (*Keyring, error)) {
		t.Helper()
		old := k
		if err == nil {
			k, err = next(arena)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.secret(), old.secret()) || !bytes.Equal(k.Key(1, Meta), old.Key(1, Meta)) {
			t.Error("remake changed a key that it keeps")
		}
		old.Free()
	}
	step(func(a *lockedmem.Arena) (*Keyring, error) { return k.NextMaterial(a) })
	if k.Current(Material) != 2 || k.Current(Meta) != 1 || !k.PastMaterial() || bytes.Equal(k.Key(1, Material), k.Key(2, Material)) {
		t.Error("NextMaterial: want material epoch 2 with a new key, record epoch 1 and the past key")
	}
	second := bytes.Clone(k.Key(2, Material))
	step(func(a *lockedmem.Arena) (*Keyring, error) { return k.DropMaterial(a) })
	if k.Key(1, Material) != nil || k.PastMaterial() || !bytes.Equal(k.Key(2, Material), second) {
		t.Error("DropMaterial: want the current material key only")
	}
	step(func(a *lockedmem.Arena) (*Keyring, error) { return k.Renewed(a) })
	if k.Current(Material) != 3 || k.Current(Meta) != 2 || bytes.Equal(k.Key(1, Meta), k.Key(2, Meta)) {
		t.Error("Renewed: want material epoch 3 and record epoch 2 with a new key")
	}
	for _, none := range [][]byte{k.Key(0, Meta), k.Key(3, Log), k.Key(0, Material), k.Key(1, Material), k.Key(4, Material)} {
		if none != nil {
			t.Error("Key returned a key for an epoch that does not exist")
		}
	}
	k.Free()
	if err := arena.Close(); err != nil {
		t.Error(err)
	}
}

func TestKeyringIsFull(t *testing.T) {
	arena := lockedmem.New(0)
	k, err := New(arena, suite.AES)
	for n := 1; err == nil && n < maxRecordEpochs; n++ {
		var full *Keyring
		if full, err = k.remake(arena, k.records+1, k.material, false); err == nil {
			k.Free()
			k = full
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Renewed(arena); !errors.Is(err, fault.ErrTooLarge) {
		t.Errorf("Renewed beyond maxRecordEpochs: %v, want ErrTooLarge", err)
	}
	k.Free()
	if err := arena.Close(); err != nil {
		t.Error(err)
	}
}

func FuzzKeyring(f *testing.F) {
	arena := lockedmem.New(0)
	k, err := New(arena, suite.AES)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		k.Free()
		if err := arena.Close(); err != nil {
			f.Error(err)
		}
	})
	f.Add(k.Bytes())
	f.Add(make([]byte, sizeOf(2, 2)))
	f.Fuzz(func(t *testing.T, b []byte) {
		k := Keyring{suite: suite.AES}
		if k.parse(b) == nil && (len(b) != sizeOf(k.records, len(k.material)) || k.Current(Material) == 0 || k.Current(Meta) == 0) {
			t.Errorf("parse accepted a keyring of %d bytes with %d record and %d material epochs", len(b), k.records, len(k.material))
		}
	})
}
