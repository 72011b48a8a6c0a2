//go:build cgo && unix

package pkcs11_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

// TestBadConfig: the error for a wrong configuration says how to correct it.
func TestBadConfig(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	good := config(token)
	text := filepath.Join(t.TempDir(), "module.so")
	writePIN(t, text, "no library", 0o600)
	for name, c := range map[string]struct {
		change func(*pkcs11.Config)
		class  driver.Class
		says   string
	}{
		"blank token":     {func(c *pkcs11.Config) { c.Label = "nobody" }, driver.Unavailable, "not initialised"},
		"relative module": {func(c *pkcs11.Config) { c.Module = "libsofthsm2.so" }, driver.Invalid, "absolute path"},
		"missing module":  {func(c *pkcs11.Config) { c.Module = "/nowhere/lib.so" }, driver.Invalid, "installed?"},
		"directory":       {func(c *pkcs11.Config) { c.Module = "/tmp" }, driver.Invalid, "no file"},
		"not a library":   {func(c *pkcs11.Config) { c.Module = text }, driver.Invalid, "not usable"},
		"not a module":    {func(c *pkcs11.Config) { c.Module = libc(t) }, driver.Invalid, "no PKCS #11 module"},
		"no token named":  {func(c *pkcs11.Config) { c.Label = "" }, driver.Invalid, "serial number or its label"},
		"unknown profile": {func(c *pkcs11.Config) { c.Profile = "abacus" }, driver.Invalid, "softhsm"},
		"unknown label":   {func(c *pkcs11.Config) { c.Label = "nobody" }, driver.Unavailable, `no token has the label "nobody"`},
		"unknown serial":  {func(c *pkcs11.Config) { c.Serial = "77" }, driver.Unavailable, `serial number "77"`},
		"no sessions":     {func(c *pkcs11.Config) { c.MaxSessions = -1 }, driver.Invalid, "negative"},
	} {
		bad := good
		c.change(&bad)
		_, err := pkcs11.Open(t.Context(), bad)
		if !is(err, c.class) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v with %q", name, err, c.class, c.says)
		}
	}
	newTestKey(t, opened(t, token)).mustWork(t, "after bad configurations")
}

// libc returns the path of a shared library that is not a PKCS #11 module.
func libc(t *testing.T) string {
	t.Helper()
	for _, pattern := range []string{"/lib/*/libc.so.6", "/lib64/libc.so.6", "/usr/lib/libc.so*", "/lib/ld-musl-*.so.1"} {
		if paths, _ := filepath.Glob(pattern); len(paths) > 0 {
			return paths[0]
		}
	}
	t.Fatal("no C library found in the usual directories")
	return ""
}

// TestAmbiguousLabel: if two tokens have the same label, the serial number selects one.
func TestAmbiguousLabel(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", token.Label,
		"--so-pin", testtoken.SOPIN, "--pin", testtoken.PIN).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { removeTokens(t, filepath.Dir(token.Dir), token.Label) })
	c := config(token)
	_, err = pkcs11.Open(t.Context(), c)
	if !is(err, driver.Invalid) || !strings.Contains(err.Error(), "2 tokens") {
		t.Fatalf("Open with a label of two tokens: %v, want Invalid", err)
	}
	// The serial number of a SoftHSM token is the end of its directory's name.
	name := strings.ReplaceAll(filepath.Base(token.Dir), "-", "")
	c.Serial = name[len(name)-16:]
	d := openedWith(t, c)
	if got := d.Info().Device.Serial; got != c.Serial {
		t.Errorf("Open selected the token with serial number %s, want the configured one", got)
	}
}

func removeTokens(t *testing.T, tokens, label string) {
	files, _ := filepath.Glob(filepath.Join(tokens, "*", "token.object"))
	for _, file := range files {
		if content, err := os.ReadFile(file); err == nil && strings.Contains(string(content), label) {
			if err := os.RemoveAll(filepath.Dir(file)); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestTokenWithoutPIN: the token was initialised, but no user PIN has been set.
func TestTokenWithoutPIN(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	other := newRawSession(t, token)
	if err := other.Initialize(); err != nil {
		t.Fatal(err)
	}
	err := other.InitToken(other.slot(t), testtoken.SOPIN, token.Label) // wipes the user PIN
	other.Finalize()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs11.Open(t.Context(), config(token)); !is(err, driver.Denied) || !strings.Contains(err.Error(), "no user PIN yet") {
		t.Errorf("Open of a token without a user PIN: %v, want Denied", err)
	}
}

// TestTokenThatComesLater opens a token that was made after the module was initialised.
func TestTokenThatComesLater(t *testing.T) {
	first := opened(t, testtoken.NewSoftHSM(t))
	v := newTestKey(t, first)
	// SoftHSM shows the second token only after it is initialised again, which must not
	// affect the first.
	second := newTestKey(t, opened(t, testtoken.NewSoftHSM(t)))
	v.mustWork(t, "the first token")
	second.mustWork(t, "the second token")
}

// TestDoneContext: calls with a context that is done return its error and do nothing.
func TestDoneContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pkcs11.Open(ctx, config(testtoken.NewSoftHSM(t))); err != context.Canceled {
		t.Errorf("Open with a cancelled context: %v, want context.Canceled", err)
	}
}
