package keystore

import (
	"bytes"
	"errors"
	"testing"

	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// TestKeyringEpochs: over several epochs past record keys are kept, past material keys
// are dropped, and no two keys are equal.
func TestKeyringEpochs(t *testing.T) {
	arena := lockedmem.New(0)
	k, err := newKeyring(arena, suite.AES)
	step := func(next func(*lockedmem.Arena) (*keyring, error)) {
		t.Helper()
		old := k
		if err == nil {
			k, err = next(arena)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.secret(), old.secret()) || !bytes.Equal(k.key(1, Meta), old.key(1, Meta)) {
			t.Error("remake changed a key that it keeps")
		}
		old.free()
	}
	step(func(a *lockedmem.Arena) (*keyring, error) { return k.nextMaterial(a) })
	if k.current(Material) != 2 || k.current(Meta) != 1 || !k.pastMaterial() || bytes.Equal(k.key(1, Material), k.key(2, Material)) {
		t.Error("nextMaterial: want material epoch 2 with a new key, record epoch 1 and the past key")
	}
	second := bytes.Clone(k.key(2, Material))
	step(func(a *lockedmem.Arena) (*keyring, error) { return k.dropMaterial(a) })
	if k.key(1, Material) != nil || k.pastMaterial() || !bytes.Equal(k.key(2, Material), second) {
		t.Error("dropMaterial: want the current material key only")
	}
	step(func(a *lockedmem.Arena) (*keyring, error) { return k.renewed(a) })
	if k.current(Material) != 3 || k.current(Meta) != 2 || bytes.Equal(k.key(1, Meta), k.key(2, Meta)) {
		t.Error("renewed: want material epoch 3 and record epoch 2 with a new key")
	}
	for _, none := range [][]byte{k.key(0, Meta), k.key(3, classLog), k.key(0, Material), k.key(1, Material), k.key(4, Material)} {
		if none != nil {
			t.Error("key returned a key for an epoch that does not exist")
		}
	}
	k.free()
	if err := arena.Close(); err != nil {
		t.Error(err)
	}
}

func TestKeyringIsFull(t *testing.T) {
	arena := lockedmem.New(0)
	k, err := newKeyring(arena, suite.AES)
	for n := 1; err == nil && n < maxRecordEpochs; n++ {
		var full *keyring
		if full, err = k.remake(arena, k.records+1, k.material, false); err == nil {
			k.free()
			k = full
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.renewed(arena); !errors.Is(err, ErrTooLarge) {
		t.Errorf("renewed beyond maxRecordEpochs: %v, want ErrTooLarge", err)
	}
	k.free()
	if err := arena.Close(); err != nil {
		t.Error(err)
	}
}
