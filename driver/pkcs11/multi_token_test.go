//go:build cgo && unix

package pkcs11_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/testtoken"
	"strongroom.example/vault"
)

// twoTokens opens two tokens of one module.
func twoTokens(t *testing.T) (faulty, next testtoken.FaultyPKCS11) {
	t.Helper()
	faulty = testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	next = faulty
	next.PKCS11 = testtoken.NewSoftHSM(t)
	next.Module = faulty.Module
	return faulty, next
}

// TestOtherTokenWhileOneIsRemoved: while one token is away, the other one works and is
// not logged in again repeatedly.
func TestOtherTokenWhileOneIsRemoved(t *testing.T) {
	faulty, next := twoTokens(t)
	v, w := newTestKey(t, openedBasic(t, faulty.PKCS11)), newTestKey(t, openedBasic(t, next.PKCS11))
	faulty.TakeAway(t)
	defer faulty.PutBack(t)
	logins := faulty.Calls(testtoken.CLogin)
	for start := time.Now(); time.Since(start) < 5*time.Second; {
		if err := v.use(t); !is(err, driver.Unavailable) {
			t.Fatalf("a call to the token that is away: %v, want Unavailable", err)
		}
		w.mustWork(t, "its neighbour")
	}
	if n := faulty.Calls(testtoken.CLogin) - logins; n > 2 {
		t.Errorf("%d logins of the other token in 5 s, want at most 2", n)
	}
}

// TestOtherTokenWhileOneIsSearched: repeated attempts to open a missing token do not
// initialise the module again each time.
func TestOtherTokenWhileOneIsSearched(t *testing.T) {
	faulty, _ := twoTokens(t)
	w := newTestKey(t, openedBasic(t, faulty.PKCS11))
	c := basicConfig(faulty.PKCS11)
	c.Label = "nobody"
	starts, begin := faulty.Calls(testtoken.CFinalize), time.Now()
	for range 3 {
		if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Unavailable) {
			t.Error(err)
		}
		w.mustWork(t, "the token that is there")
	}
	if n, took := faulty.Calls(testtoken.CFinalize)-starts, time.Since(begin); time.Duration(n-1)*time.Second > took {
		t.Errorf("the module was initialised %d times in %v, want at most once a second", n, took)
	}
}

// TestVaultOtherToken: a version is trimmed while the vault has another token than the one
// that holds its key. The key remains until the vault has the former token again.
func TestVaultOtherToken(t *testing.T) {
	first, other := opened(t, testtoken.NewSoftHSM(t)), opened(t, testtoken.NewSoftHSM(t))
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "vault")
	word := soft.PassphraseParams{Memory: 64, Time: 1}.Passphrase([]byte("word"))
	cfg := vault.Config{Drivers: map[string]driver.Driver{"token": first}, Driver: "token"}
	v, err := vault.Create(ctx, dir, cfg, word)
	if err != nil {
		t.Fatal(err)
	}
	c := v.As(vault.DefaultOwner)
	key, err := c.CreateKey(ctx, vault.KeyOptions{Driver: "token"})
	if err == nil {
		_, err = c.RotateKey(ctx, key.ID)
	}
	if err == nil {
		err = c.SetMinimumVersion(ctx, key.ID, 2)
	}
	if err = errors.Join(err, v.Close()); err != nil {
		t.Fatal(err)
	}
	held := objectsOf(t, first)
	cfg.Drivers = map[string]driver.Driver{"token": other}
	if v, err = vault.Open(ctx, dir, cfg, word); err != nil {
		t.Fatal(err)
	}
	if err := v.As(vault.DefaultOwner).TrimKeyVersion(ctx, key.ID, 1); !errors.Is(err, vault.ErrWrongDevice) {
		t.Errorf("TrimKeyVersion with another token: %v, want ErrWrongDevice", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if n := objectsOf(t, first); n != held {
		t.Errorf("the former token has %d keys, want %d", n, held)
	}
	cfg.Drivers = map[string]driver.Driver{"token": first}
	if v, err = vault.Open(ctx, dir, cfg, word); err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if n := objectsOf(t, first); n != held-1 {
		t.Errorf("after Open with the former token it has %d keys, want %d", n, held-1)
	}
}

// objectsOf returns how many keys a token lists.
func objectsOf(t *testing.T, d driver.Driver) (n int) {
	t.Helper()
	for _, err := range d.(driver.Lister).ListKeys(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}
