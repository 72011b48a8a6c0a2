// The race detector keeps copies of its own and makes the search take minutes.
//go:build !race

package vault

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"testing"

	"strongroom.example/driver/soft"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/editionrules"
)

// memoryChild uses the vault, and stops at each stage until its parent has searched its
// memory.
func memoryChild(t *testing.T, dir string) {
	text := memorySecret(t, memoryPassphrase)
	control := secret{"the control", memorySecret(t, 32), everyUse}.forms(editionrules.SuiteOf(testEdition()))
	p := soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 3}.Passphrase(text)
	suite.Wipe(text)
	v, err := Open(t.Context(), dir, Config{Edition: testEdition()}, p)
	if err != nil {
		t.Fatal(err)
	}
	p.Wipe()
	c := v.As(DefaultOwner)
	memoryStage(t, "open")
	kept := memoryWork(t, c)
	memoryStage(t, "used")
	memoryImport(t, c)
	memoryStage(t, "imported")
	for _, key := range []string{"imported", "late"} {
		if err := c.DeleteImportedKeyMaterial(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range kept {
		k.Destroy()
	}
	runtime.GC()
	runtime.GC()
	memoryStage(t, "destroyed")
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	memoryStage(t, "closed")
	runtime.KeepAlive(control)
	os.Exit(0)
}

// memorySecret reads an obfuscated secret from the parent.
func memorySecret(t *testing.T, n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(os.Stdin, b); err != nil {
		t.Fatal(err)
	}
	for i := range b {
		b[i] ^= obfuscation
	}
	return b
}

// memoryStage announces a stage and waits for the parent.
func memoryStage(t *testing.T, name string) {
	fmt.Println("stage", name)
	if _, err := io.ReadFull(os.Stdin, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// memoryImport imports material that the parent has wrapped.
func memoryImport(t *testing.T, c Client) {
	p, err := c.ParametersForImport(t.Context(), "late", ImportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	printSecret("import", text)
	var size [2]byte
	if _, err := io.ReadFull(os.Stdin, size[:]); err != nil {
		t.Fatal(err)
	}
	wrapped := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(os.Stdin, wrapped); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ImportKeyMaterial(t.Context(), "late", ImportMaterial{Token: p.Token, EncryptedMaterial: wrapped}); err != nil {
		t.Fatal(err)
	}
}

// printSecret prints a line for the parent.
func printSecret(what string, b []byte) { fmt.Println(what, base64.StdEncoding.EncodeToString(b)) }

// memoryWork uses every key from 400 goroutines, on stacks of many depths. It returns data
// keys that remain open, one of them with a cipher.
func memoryWork(t *testing.T, c Client) (kept []*DataKey) {
	var mu sync.Mutex
	var work sync.WaitGroup
	for i := range 400 {
		work.Go(func() {
			growStack(i%100, func() {
				k, sealed, err := memoryOperations(c, i)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
					return
				}
				printSecret("message", sealed)
				if i == 0 {
					printSecret("cipher", k.Ciphertext())
				} else {
					printSecret("key", k.Ciphertext())
				}
				if i%50 == 0 {
					kept = append(kept, k)
				} else {
					k.Destroy()
				}
			})
		})
	}
	work.Wait()
	return kept
}

// growStack calls f on a stack that is deeper by a number of frames.
//
//go:noinline
func growStack(n int, f func()) byte {
	var frame [120]byte
	if n == 0 {
		f()
		return frame[0]
	}
	return growStack(n-1, f) + frame[n%len(frame)]
}

// memoryOperations uses each kind of key once. The first data key has a cipher.
func memoryOperations(c Client, i int) (*DataKey, []byte, error) {
	ctx := context.Background()
	cmk := []string{"imported", "made"}[i%2]
	sealed, err := c.Encrypt(ctx, cmk, []byte("a plaintext that is no key, and longer than one"), nil)
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.Decrypt(ctx, sealed, nil); err != nil {
		return nil, nil, err
	}
	k, err := c.GenerateDataKey(ctx, cmk, c.vault.suite.KeySize(), nil)
	if err != nil {
		return nil, nil, err
	}
	if i == 0 {
		a, err := k.AEAD()
		if err != nil {
			return nil, nil, err
		}
		a.Seal(nil, nil, []byte("data"), nil)
	}
	again, err := c.OpenDataKey(ctx, k.Ciphertext(), nil)
	if err != nil {
		return nil, nil, err
	}
	again.Destroy()
	for _, n := range []int{10, 2000} {
		if _, err := c.GenerateMac(ctx, "mac", make([]byte, n)); err != nil {
			return nil, nil, err
		}
	}
	if _, err := c.Sign(ctx, "sign", []byte("a message"), SignOptions{}); err != nil {
		return nil, nil, err
	}
	return k, sealed, nil
}
