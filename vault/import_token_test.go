package vault

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.example/vault/internal/importtoken"
)

// refusedImport makes an import that must fail with an error that contains say, and must
// change nothing.
func refusedImport(t *testing.T, c Client, key string, m ImportMaterial, say string) {
	t.Helper()
	before := countRecords(c.vault)
	_, err := c.ImportKeyMaterial(t.Context(), key, m)
	if !errors.Is(err, ErrImport) || !strings.Contains(err.Error(), say) {
		t.Errorf("ImportKeyMaterial: %v, want %v with %q", err, ErrImport, say)
	}
	if after := countRecords(c.vault); !maps.Equal(before, after) {
		t.Errorf("%s: changed the vault: %v, then %v", say, before, after)
	}
}

// TestTokenExpiresAfterADay: a token is valid for exactly one day, even if the clock is
// changed.
func TestTokenExpiresAfterADay(t *testing.T) {
	v, c, fake, dir := newClockVault(t)
	k := newExternal(t, c)
	p := newImportFixture(t, c, k, ownKey(1))
	if want := fake.Now().Add(24 * time.Hour); !p.parameters.ValidTo.Equal(want) {
		t.Errorf("valid to %v, want %v", p.parameters.ValidTo, want)
	}
	fake.Advance(24*time.Hour - time.Second)
	mustImport(t, c, k.ID, p.material())
	fake.Advance(time.Second)
	refusedExpired := func() {
		t.Helper()
		if _, err := c.ImportKeyMaterial(t.Context(), k.ID, p.material()); !errors.Is(err, ErrImport) || !strings.Contains(err.Error(), "expired") {
			t.Errorf("ImportKeyMaterial with an expired token: %v", err)
		}
	}
	refusedExpired()
	fake.Advance(time.Second)
	refusedExpired()
	fake.Set(fake.Now().Add(-48 * time.Hour))
	refusedExpired()
	v = reopen(t, v, dir)
	c = v.As(DefaultOwner)
	refusedExpired()
	closeChecked(t, v)
	fake.Reboot()
	v, err := Open(t.Context(), dir, v.cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	refusedExpired()
	for _, path := range v.store.Paths("material/") {
		if strings.Contains(path, tokenOf(t, v, p).Serial.String()) {
			t.Error("the wrapping key outlived its token")
		}
	}
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
}

func tokenOf(t *testing.T, v *Vault, p *importFixture) importtoken.Token {
	t.Helper()
	tok, err := v.tokens().Open(p.parameters.Token)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestTokenIsInvalidAfterFiveAttempts: an attempt that fails because of the material
// counts, across a restart too. An attempt with a wrong token does not count.
func TestTokenIsInvalidAfterFiveAttempts(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	p := newImportFixture(t, c, k, ownKey(1))
	bad := p.material()
	bad.EncryptedMaterial = make([]byte, 256)
	forged := p.material()
	forged.Token = bytes.Repeat([]byte{1}, importtoken.Size)
	for range 10 {
		refusedImport(t, c, k.ID, forged, "an import token")
	}
	for range 3 {
		refusedImport(t, c, k.ID, bad, "unwrap")
	}
	v = reopen(t, v, dir)
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	refusedImport(t, c, k.ID, bad, "unwrap")
	serial := tokenOf(t, v, p).Serial
	if v.store.Version(materialPath(serial)) == 0 {
		t.Error("the wrapping key went too early")
	}
	if _, err := c.ImportKeyMaterial(t.Context(), k.ID, bad); !errors.Is(err, ErrImport) {
		t.Errorf("the fifth attempt: %v, want ErrImport", err)
	}
	if v.store.Version(materialPath(serial)) != 0 {
		t.Error("the wrapping key outlived its token")
	}
	refusedImport(t, c, k.ID, p.material(), "after 5 failed attempts")
	refusedImport(t, c, k.ID, p.material(), "after 5 failed attempts")
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
}

// TestSuccessAfterFailedAttempts: an import succeeds after four failed attempts.
func TestSuccessAfterFailedAttempts(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	p := newImportFixture(t, c, k, ownKey(1))
	bad := p.material()
	bad.EncryptedMaterial = make([]byte, 256)
	for range importtoken.MaxAttempts - 1 {
		refusedImport(t, c, k.ID, bad, "unwrap")
	}
	for range 3 {
		mustImport(t, c, k.ID, p.material())
	}
	if _, err := c.ImportKeyMaterial(t.Context(), k.ID, bad); !errors.Is(err, ErrImport) {
		t.Errorf("fifth failed try: %v", err)
	}
	refusedImport(t, c, k.ID, p.material(), "after 5 failed attempts")
}

// TestConcurrentAttempts: concurrent attempts do not exceed the limit of five.
func TestConcurrentAttempts(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	bad := newImportFixture(t, c, k, ownKey(1)).material()
	bad.EncryptedMaterial = make([]byte, 256)
	var mu sync.Mutex
	var wg sync.WaitGroup
	unwrapped := 0
	for range 20 {
		wg.Go(func() {
			_, err := c.ImportKeyMaterial(t.Context(), k.ID, bad)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				t.Error("an attempt succeeded, want an error")
			} else if strings.Contains(err.Error(), "unwrap") {
				unwrapped++
			}
		})
	}
	wg.Wait()
	if unwrapped != importtoken.MaxAttempts {
		t.Errorf("%d tries reached the wrapping key, want %d", unwrapped, importtoken.MaxAttempts)
	}
}

func TestSingleUse(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	p := requestImport(t, c, k.ID, ownKey(1), ImportRequest{SingleUse: true})
	bad := p.material()
	bad.EncryptedMaterial = make([]byte, 256)
	refusedImport(t, c, k.ID, bad, "unwrap") // counts no attempt against the good token
	mustImport(t, c, k.ID, p.material())
	if v.store.Version(materialPath(tokenOf(t, v, p).Serial)) != 0 {
		t.Error("the wrapping key outlived its use")
	}
	refusedImport(t, c, k.ID, p.material(), "single use")
}

// TestUnusedTokenSurvivesDeletion: a token without an attempt remains valid after the
// material is deleted, because no material was wrapped under its wrapping key.
func TestUnusedTokenSurvivesDeletion(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	mustImport(t, c, k.ID, newImportFixture(t, c, k, ownKey(1)).material())
	next := newImportFixture(t, c, k, ownKey(1))
	if err := c.DeleteImportedKeyMaterial(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	mustImport(t, c, k.ID, next.material())
}

// TestTokenOfAnotherVault: the MAC covers the vault's id, even if all other fields agree.
func TestTokenOfAnotherVault(t *testing.T) {
	one, _ := newTestVault(t, testConfig())
	two, _ := newTestVault(t, testConfig())
	k := newExternal(t, one.As(DefaultOwner))
	p := newImportFixture(t, one.As(DefaultOwner), k, ownKey(1))
	if _, err := two.tokens().Open(p.parameters.Token); !errors.Is(err, ErrImport) {
		t.Errorf("Open of another vault's token: %v, want ErrImport", err)
	}
}
