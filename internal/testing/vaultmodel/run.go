// Package vaultmodel compares a vault with a small model of it, over random operations,
// clocks that jump, restarts and crashes (pgregory.net/rapid).
package vaultmodel

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/vaulttest"
)

// eachVault is the number of steps with one vault.
const eachVault = 200

// running is held by Run, because the number of checks is a flag of the process.
var running sync.Mutex

// Run makes the given number of random steps. After every 200 steps it goes on with a new
// vault. All vaults have the drivers of cfg.
func Run(t *testing.T, cfg vault.Config, steps int) {
	t.Helper()
	running.Lock()
	defer running.Unlock()
	checks := flag.Lookup("rapid.checks")
	former := checks.Value.String()
	defer func() { _ = checks.Value.Set(former) }()
	if err := checks.Value.Set(strconv.Itoa((steps + eachVault - 1) / eachVault)); err != nil {
		t.Fatal(err)
	}
	base, err := os.MkdirTemp("/dev/shm", "vaultmodel") // the disk would take most of the time
	if err != nil {
		base = t.TempDir()
	}
	defer os.RemoveAll(base)
	done := map[string]int{}
	rapid.Check(t, func(r *rapid.T) {
		x := newSystem(r, base, cfg)
		defer x.end()
		for range min(steps, eachVault) {
			x.step()
		}
		for name, n := range x.done {
			done[name] += n
		}
	})
	t.Logf("steps: %v", done)
}

// system is a vault with its model.
type system struct {
	*rapid.T
	base  string
	dirs  int
	dir   string
	cfg   vault.Config
	clock *vaulttest.Clock
	time  timeModel
	vault *vault.Vault
	c     vault.Client
	keys  []*keyModel
	// dataKeys are the named data keys, also those that were removed.
	dataKeys []*dataKeyModel
	done     map[string]int
}

func newSystem(r *rapid.T, base string, cfg vault.Config) *system {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	x := &system{T: r, cfg: cfg, clock: vaulttest.NewClock(start), done: map[string]int{}}
	x.time = timeModel{wall: start, truth: start, confirmed: start}
	x.cfg.Clock, x.cfg.Scrub.Every = x.clock, -1
	var err error
	if x.base, err = os.MkdirTemp(base, "model"); err != nil {
		r.Fatal(err)
	}
	x.newDir()
	if x.vault, err = vault.Create(context.Background(), x.dir, x.cfg, protector()); err != nil {
		r.Fatal(err)
	}
	x.c = x.vault.As(vault.DefaultOwner)
	return x
}

func (x *system) newDir() {
	x.dirs++
	x.dir = filepath.Join(x.base, fmt.Sprint(x.dirs))
}

func protector() driver.Protector {
	return soft.PassphraseParams{Memory: 8, Time: 1, Iterations: 1}.Passphrase([]byte("model"))
}

// end checks all keys and all stored data, and removes the vault.
func (x *system) end() {
	defer os.RemoveAll(x.base)
	if x.Failed() || x.vault == nil {
		return
	}
	x.compareAll()
	if err := errors.Join(x.c.Check(context.Background()), x.vault.Close()); err != nil {
		x.Fatal(err)
	}
}

// expect compares the error of a call with that of the model.
func (x *system) expect(what string, got, want error) bool {
	x.Helper()
	if !errors.Is(got, want) || want == nil && got != nil {
		x.Fatalf("%s: %v, want %v", what, got, want)
	}
	return want == nil
}

// refusal returns ErrKeyState unless the state of k is one of those.
func (x *system) refusal(k *keyModel, those ...vault.KeyState) error {
	if in(k.shown(&x.time), those...) {
		return nil
	}
	return vault.ErrKeyState
}

// compare compares a CMK with its model.
func (x *system) compare(k *keyModel) {
	x.Helper()
	got, err := x.c.DescribeKey(context.Background(), k.id)
	want := k.shown(&x.time)
	if err != nil || got.State != want || k.versions != got.Version || want == vault.PendingDeletion && !got.DeletionDate.Equal(k.date) {
		x.Fatalf("%v: DescribeKey returned %s, version %d, DeletionDate %v, error %v; want %s, %d, %v", x.time, got.State, got.Version, got.DeletionDate, err, want, k.versions, k.date)
	}
	if !slices.Equal(got.Aliases(), k.aliases) {
		x.Fatalf("%v: the key %s has the aliases %q, want %q", x.time, k.id, got.Aliases(), k.aliases)
	}
}

// compareAll compares all CMKs, one ciphertext of each, all aliases and all named data keys.
func (x *system) compareAll() {
	x.Helper()
	for _, k := range x.keys {
		x.compare(k)
		if len(k.made) > 0 {
			x.decrypt(k, k.made[0])
		}
	}
	x.compareAliases()
	for _, d := range x.dataKeys {
		x.compareDataKey(d)
	}
	if len(x.dataKeys) > 0 {
		x.openDataKey(x.dataKeys[0])
	}
}

// decrypt decrypts a ciphertext.
func (x *system) decrypt(k *keyModel, s sealed) {
	x.Helper()
	got, err := x.c.Decrypt(context.Background(), s.ciphertext, nil)
	if x.expect("Decrypt", err, x.refusal(k, vault.Enabled, vault.Archived)) && !bytes.Equal(got, s.plaintext) {
		x.Fatalf("Decrypt returned %x, want %x", got, s.plaintext)
	}
}
