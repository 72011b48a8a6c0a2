package vault

import (
	"bytes"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.example/driver"
)

// refusedImport makes an import that must fail with an error that contains say, and must
// change nothing.
func refusedImport(t *testing.T, c Client, key string, m ImportMaterial, say string) {
	t.Helper()
	before := footprint(c.vault)
	_, err := c.ImportKeyMaterial(t.Context(), key, m)
	if !errors.Is(err, ErrImport) || !strings.Contains(err.Error(), say) {
		t.Errorf("ImportKeyMaterial: %v, want %v with %q", err, ErrImport, say)
	}
	if after := footprint(c.vault); !maps.Equal(before, after) {
		t.Errorf("%s: changed the vault: %v, then %v", say, before, after)
	}
}

// TestTokenLivesADay: a token is valid for exactly one day, even if the clock is changed.
func TestTokenLivesADay(t *testing.T) {
	v, c, fake, dir := newClockVault(t)
	k := newExternal(t, c)
	p := newParcel(t, c, k, ownKey(1))
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
		if strings.Contains(path, tokenOf(t, v, p).serial.String()) {
			t.Error("the wrapping key outlived its token")
		}
	}
	mustImport(t, c, k.ID, newParcel(t, c, k, ownKey(1)).material())
}

func tokenOf(t *testing.T, v *Vault, p *parcel) token {
	t.Helper()
	tok, err := v.openToken(p.parameters.Token)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestTokenDiesAfterFiveTries: an attempt that fails because of the material counts, across
// a restart too. An attempt with a wrong token does not count.
func TestTokenDiesAfterFiveTries(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	p := newParcel(t, c, k, ownKey(1))
	bad := p.material()
	bad.EncryptedMaterial = make([]byte, 256)
	forged := p.material()
	forged.Token = bytes.Repeat([]byte{1}, tokenSize)
	for range 10 {
		refusedImport(t, c, k.ID, forged, "no import token")
	}
	for range 3 {
		refusedImport(t, c, k.ID, bad, "unwrap")
	}
	v = reopen(t, v, dir)
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	refusedImport(t, c, k.ID, bad, "unwrap")
	serial := tokenOf(t, v, p).serial
	if v.store.Version(materialPath(serial)) == 0 {
		t.Error("the wrapping key went too early")
	}
	if _, err := c.ImportKeyMaterial(t.Context(), k.ID, bad); !errors.Is(err, ErrImport) {
		t.Errorf("the fifth attempt: %v, want ErrImport", err)
	}
	if v.store.Version(materialPath(serial)) != 0 {
		t.Error("the wrapping key outlived its token")
	}
	refusedImport(t, c, k.ID, p.material(), "dead after 5")
	refusedImport(t, c, k.ID, p.material(), "dead after 5")
	mustImport(t, c, k.ID, newParcel(t, c, k, ownKey(1)).material())
}

// TestFourTriesAreForgiven: an import succeeds after four failed attempts.
func TestFourTriesAreForgiven(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	p := newParcel(t, c, k, ownKey(1))
	bad := p.material()
	bad.EncryptedMaterial = make([]byte, 256)
	for range tokenTries - 1 {
		refusedImport(t, c, k.ID, bad, "unwrap")
	}
	for range 3 {
		mustImport(t, c, k.ID, p.material())
	}
	if _, err := c.ImportKeyMaterial(t.Context(), k.ID, bad); !errors.Is(err, ErrImport) {
		t.Errorf("fifth failed try: %v", err)
	}
	refusedImport(t, c, k.ID, p.material(), "dead after 5")
}

// TestTriesAtOnce: concurrent attempts do not exceed the limit of five.
func TestTriesAtOnce(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	bad := newParcel(t, c, k, ownKey(1)).material()
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
	if unwrapped != tokenTries {
		t.Errorf("%d tries reached the wrapping key, want %d", unwrapped, tokenTries)
	}
}

func TestSingleUse(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	p := askParcel(t, c, k.ID, ownKey(1), ImportRequest{SingleUse: true})
	bad := p.material()
	bad.EncryptedMaterial = make([]byte, 256)
	refusedImport(t, c, k.ID, bad, "unwrap") // counts no attempt against the good token
	mustImport(t, c, k.ID, p.material())
	if v.store.Version(materialPath(tokenOf(t, v, p).serial)) != 0 {
		t.Error("the wrapping key outlived its use")
	}
	refusedImport(t, c, k.ID, p.material(), "single use")
}

// TestUntriedTokenOutlivesDeletion: a token without an attempt remains valid after the
// material is deleted, because no material was wrapped under its wrapping key.
func TestUntriedTokenOutlivesDeletion(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	mustImport(t, c, k.ID, newParcel(t, c, k, ownKey(1)).material())
	next := newParcel(t, c, k, ownKey(1))
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
	p := newParcel(t, one.As(DefaultOwner), k, ownKey(1))
	if _, err := two.openToken(p.parameters.Token); !errors.Is(err, ErrImport) {
		t.Errorf("openToken of another vault's token: %v, want ErrImport", err)
	}
}

// TestTokenBytes: each bit of a token is authenticated, and every field is decoded as it
// was encoded.
func TestTokenBytes(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	in := token{key: [16]byte{1, 2}, serial: driver.MaterialID{3, 4}, algorithm: 5, single: true, validTo: time.Unix(1<<31, 0).UTC(), public: [32]byte{6}}
	b := v.sealToken(in)
	if out, err := v.openToken(b); err != nil || out != in || len(b) != tokenSize {
		t.Errorf("openToken: %+v, error %v", out, err)
	}
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if _, err := v.openToken(b); !errors.Is(err, ErrImport) {
			t.Fatalf("openToken with bit %d changed: %v, want ErrImport", i, err)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	for n := range b {
		if _, err := v.openToken(b[:n]); !errors.Is(err, ErrImport) {
			t.Fatalf("openToken of the first %d bytes: %v, want ErrImport", n, err)
		}
	}
}

// FuzzOpenToken: only a token that the vault itself made is accepted.
func FuzzOpenToken(f *testing.F) {
	v, _ := newTestVault(f, testConfig())
	good := v.sealToken(token{algorithm: 1})
	f.Add(good)
	f.Add([]byte(nil))
	f.Add(append(bytes.Clone(good[:tokenBody]), make([]byte, tokenSize-tokenBody)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := v.openToken(b); (err == nil) != bytes.Equal(b, good) {
			t.Errorf("openToken(%x): %v", b, err)
		}
	})
}
