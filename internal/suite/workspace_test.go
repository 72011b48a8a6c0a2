package suite

import (
	"bytes"
	"crypto/rand"
	"sync"
	"testing"
	"testing/synctest"

	"strongroom.example/internal/lockedmem"
)

// TestWorkspacesAreWiped checks that a call finds no data of an earlier call in a
// workspace.
func TestWorkspacesAreWiped(t *testing.T) {
	key := bytes.Repeat([]byte{0xC3}, 32)
	for _, id := range usable() {
		sum := id.MAC(key, key)
		id.KDF(sum[:], key, "label", key)
		id.Hash(key, key)
		id.PBKDF2(key, key, 2, 32)
	}
	for range workspaces.max {
		w := workspaces.take()
		defer workspaces.give(w)
		if *w != (workspace{}) {
			t.Fatal("a workspace holds data of the previous call")
		}
	}
}

// TestWorkspacesAreLocked checks that two workspaces do not overlap, and are in locked
// memory.
func TestWorkspacesAreLocked(t *testing.T) {
	p := newWorkspacePool()
	p.arena = lockedmem.New(0)
	for range p.max {
		w := p.take()
		defer p.give(w)
	}
	if p.arena.InUse() != p.max {
		t.Errorf("%d of %d workspaces are in locked memory", p.arena.InUse(), p.max)
	}
}

// TestWorkspacesAreBounded checks that a call waits if all workspaces are in use.
func TestWorkspacesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newWorkspacePool()
		var held []*workspace
		for range p.max {
			held = append(held, p.take())
		}
		var waiting sync.WaitGroup
		for range 3 * p.max {
			waiting.Go(func() { p.give(p.take()) })
		}
		synctest.Wait()
		for _, w := range held {
			p.give(w)
		}
		waiting.Wait()
		if p.made != p.max {
			t.Errorf("the pool made %d workspaces, want %d", p.made, p.max)
		}
	})
}

// TestMACWithoutLockedMemory checks that MACs are computed even if no memory can be
// locked.
func TestMACWithoutLockedMemory(t *testing.T) {
	p := newWorkspacePool()
	p.arena = lockedmem.New(1) // less than a page
	w := p.take()
	key := make([]byte, 32)
	rand.Read(key)
	AES.mac(w, key, [][]byte{key})
	if want := AES.MAC(key, key); w.block != want {
		t.Errorf("MAC on the heap: %x, want %x", w.block, want)
	}
	if p.give(w); *w != (workspace{}) {
		t.Error("a workspace on the heap is not wiped")
	}
}

// TestMACToAliases checks that the result may overwrite the key, as a ratchet does.
func TestMACToAliases(t *testing.T) {
	for _, id := range usable() {
		key := make([]byte, 32)
		rand.Read(key)
		want := id.MAC(key, key)
		if id.MACTo(key, key, key); !bytes.Equal(key, want[:]) {
			t.Errorf("%v: MACTo over its own key: %x, want %x", id, key, want)
		}
	}
}

// TestNothingAllocated checks that MACs, derivations and hashes of short messages leave
// nothing on the heap, where it could not be wiped.
func TestNothingAllocated(t *testing.T) {
	if moduleOnly() {
		t.Skip("Go's FIPS module makes its MACs on the heap")
	}
	key, out := make([]byte, 32), make([]byte, 80)
	for _, id := range usable() {
		for name, f := range map[string]func(){
			"MACTo": func() { id.MACTo(out, key, key) },
			"KDF":   func() { id.KDF(out, key, "label", key) },
			"Hash":  func() { id.Hash(key) },
		} {
			if n := testing.AllocsPerRun(100, f); n != 0 {
				t.Errorf("%v: %s allocates %v times", id, name, n)
			}
		}
	}
}
