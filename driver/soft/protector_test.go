package soft_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// light is for tests that do not depend on the work.
var light = soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 10}

func newKeyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := soft.CreateKeyFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func newCode(t *testing.T) *soft.RecoveryCode {
	t.Helper()
	code, err := soft.NewRecoveryCode()
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// protectors returns two protectors of each kind, with different secrets.
func protectors(t *testing.T) map[string][2]driver.Protector {
	return map[string][2]driver.Protector{
		"passphrase":    {light.Passphrase([]byte("one")), light.Passphrase([]byte("two"))},
		"recovery-code": {newCode(t), newCode(t)},
		"key-file":      {soft.KeyFile(newKeyFile(t)), soft.KeyFile(newKeyFile(t))},
	}
}

var root = bytes.Repeat([]byte{0xA5}, 32)

func TestProtectors(t *testing.T) {
	for kind, pair := range protectors(t) {
		for _, e := range []driver.Edition{driver.Standard, driver.FIPS, driver.SM} {
			t.Run(kind+"/"+e.String(), func(t *testing.T) { checkProtector(t, kind, e, pair) })
		}
	}
}

func checkProtector(t *testing.T, kind string, e driver.Edition, pair [2]driver.Protector) {
	ctx := context.Background()
	b := driver.Binding{VaultID: [16]byte{1}, Edition: e}
	blob, err := pair[0].Protect(ctx, b, root)
	if err != nil || pair[0].Kind() != kind || pair[0].MachineBound() {
		t.Fatal(err, pair[0].Kind())
	}
	if got, err := pair[0].Recover(ctx, make([]byte, 0, 32), b, blob); err != nil || !bytes.Equal(got, root) {
		t.Fatalf("Recover: %v", err)
	}
	denied := func(what string, p driver.Protector, b driver.Binding, blob []byte) {
		if _, err := p.Recover(ctx, nil, b, blob); !errors.Is(err, driver.Denied) {
			t.Errorf("%s: %v", what, err)
		}
	}
	denied("other secret", pair[1], b, blob)
	denied("other vault", pair[0], driver.Binding{VaultID: [16]byte{2}, Edition: e}, blob)
	denied("other edition", pair[0], driver.Binding{VaultID: [16]byte{1}, Edition: (e + 1) % 3}, blob)
	for bit := range len(blob) * 8 {
		bad := bytes.Clone(blob)
		bad[bit/8] ^= 1 << (bit % 8)
		denied("flipped bit", pair[0], b, bad)
	}
	for n := range blob {
		denied("cut", pair[0], b, blob[:n])
	}
	if _, err := pair[0].Protect(ctx, b, root[:31]); !errors.Is(err, driver.Invalid) {
		t.Errorf("Protect of a short root: %v", err)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := pair[0].Recover(done, nil, b, blob); err != context.Canceled {
		t.Errorf("Recover with a canceled context: %v", err)
	}
}

// TestPassphraseDefaults does the default work once in each edition.
func TestPassphraseDefaults(t *testing.T) {
	ctx := context.Background()
	for _, e := range []driver.Edition{driver.Standard, driver.FIPS, driver.SM} {
		b := driver.Binding{Edition: e}
		blob, err := soft.Passphrase([]byte("correct horse")).Protect(ctx, b, root)
		if err != nil {
			t.Fatal(err)
		}
		want := map[driver.Edition][]byte{
			driver.Standard: {1, 0, 0, 0, 3, 0, 1, 0, 0},
			driver.FIPS:     {2, 0, 0x09, 0x27, 0xC0, 0, 0, 0, 0},
			driver.SM:       {3, 0, 0x09, 0x27, 0xC0, 0, 0, 0, 0},
		}[e]
		if !bytes.Equal(blob[6:15], want) {
			t.Errorf("%v: the work in the header is %x", e, blob[6:15])
		}
	}
}

func TestPassphraseLimits(t *testing.T) {
	ctx := context.Background()
	for _, p := range []soft.PassphraseParams{{Memory: 1<<20 + 1}, {Time: 17}} {
		if _, err := p.Passphrase([]byte("x")).Protect(ctx, driver.Binding{}, root); !errors.Is(err, driver.Invalid) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	p := soft.PassphraseParams{Iterations: 10_000_001}.Passphrase([]byte("x"))
	for _, e := range []driver.Edition{driver.FIPS, driver.SM} {
		if _, err := p.Protect(ctx, driver.Binding{Edition: e}, root); !errors.Is(err, driver.Invalid) {
			t.Errorf("%v: %v", e, err)
		}
	}
	empty := soft.Passphrase(nil)
	if _, err := empty.Protect(ctx, driver.Binding{}, root); !errors.Is(err, driver.Invalid) {
		t.Errorf("Protect with an empty passphrase: %v", err)
	}
	if _, err := empty.Recover(ctx, nil, driver.Binding{}, nil); !errors.Is(err, driver.Invalid) {
		t.Errorf("Recover with an empty passphrase: %v", err)
	}
	wiped := light.Passphrase([]byte("x"))
	wiped.Wipe()
	if _, err := wiped.Protect(ctx, driver.Binding{}, root); !errors.Is(err, driver.Invalid) {
		t.Errorf("Protect after Wipe: %v", err)
	}
}

func TestRecoveryCodeTyped(t *testing.T) {
	ctx := context.Background()
	code := newCode(t)
	text := code.AppendCode(nil)
	if len(text) != 77 {
		t.Fatalf("%d bytes", len(text))
	}
	blob, err := code.Protect(ctx, driver.Binding{}, root)
	if err != nil {
		t.Fatal(err)
	}
	sloppy := bytes.ReplaceAll(bytes.ToLower(text), []byte("-"), []byte("  "))
	sloppy = bytes.ReplaceAll(bytes.ReplaceAll(sloppy, []byte("0"), []byte("o")), []byte("1"), []byte("l"))
	typed, err := soft.ParseRecoveryCode(sloppy)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := typed.Recover(ctx, nil, driver.Binding{}, blob); err != nil || !bytes.Equal(got, root) {
		t.Errorf("Recover: %v", err)
	}
	typed.Wipe()
	if _, err := typed.Recover(ctx, nil, driver.Binding{}, blob); !errors.Is(err, driver.Invalid) {
		t.Errorf("Recover after Wipe: %v", err)
	}
}

// TestRecoveryCodeMistyped tries every wrong character, every swap of neighbours
// within a group, every swap of groups, and every length.
func TestRecoveryCodeMistyped(t *testing.T) {
	text := newCode(t).AppendCode(nil)
	mistyped := func(bad []byte, group int) {
		t.Helper()
		_, err := soft.ParseRecoveryCode(bad)
		var m *soft.MistypedError
		if !errors.Is(err, driver.Denied) || !errors.As(err, &m) || group >= 0 && m.Group != group {
			t.Errorf("group %d: %v", group, err)
		}
	}
	for i, c := range text {
		if c == '-' {
			continue
		}
		for _, w := range []byte("0123456789ABCDEFGHJKMNPQRSTVWXYZ*U") {
			if w != c {
				bad := bytes.Clone(text)
				bad[i] = w
				mistyped(bad, i/6+1)
			}
		}
		if i+1 < len(text) && text[i+1] != '-' && text[i+1] != c {
			bad := bytes.Clone(text)
			bad[i], bad[i+1] = bad[i+1], bad[i]
			mistyped(bad, i/6+1)
		}
	}
	for g := range 13 {
		for h := range g {
			groups := bytes.Split(text, []byte("-"))
			groups[g], groups[h] = groups[h], groups[g]
			mistyped(bytes.Join(groups, []byte("-")), h+1)
		}
	}
	for n := range text {
		if text[n] != '-' {
			mistyped(text[:n], 0)
		}
	}
	mistyped(append(bytes.Clone(text), '0'), 0)
}

func FuzzParseRecoveryCode(f *testing.F) {
	f.Add([]byte("00000-00000"))
	code, err := soft.NewRecoveryCode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(code.AppendCode(nil))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := soft.ParseRecoveryCode(text)
		if err != nil {
			return
		}
		again, err := soft.ParseRecoveryCode(c.AppendCode(nil))
		if err != nil || !bytes.Equal(again.AppendCode(nil), c.AppendCode(nil)) {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func TestKeyFileRefused(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	refused := func(what, path string, class driver.Class) {
		t.Helper()
		if _, err := soft.KeyFile(path).Protect(ctx, driver.Binding{}, root); !errors.Is(err, class) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("missing", filepath.Join(dir, "none"), driver.Unavailable)
	refused("folder", dir, driver.Invalid)
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, make([]byte, 31), 0o600); err != nil {
		t.Fatal(err)
	}
	refused("short", short, driver.Invalid)
	path := newKeyFile(t)
	if err := soft.CreateKeyFile(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("CreateKeyFile of an existing file: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		refused(mode.String(), path, driver.Invalid)
	}
}
