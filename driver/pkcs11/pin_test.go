//go:build cgo && unix

package pkcs11_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

func writePIN(t *testing.T, path, pin string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(pin), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// TestWrongPIN opens repeatedly with the same wrong PIN. The token gets it only once.
func TestWrongPIN(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	c := basicConfig(faulty.PKCS11)
	c.PIN.File = filepath.Join(t.TempDir(), "pin")
	writePIN(t, c.PIN.File, "not the PIN", 0o600)
	for range cycles(t) {
		if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Denied) {
			t.Fatalf("Open with a wrong PIN: %v, want Denied", err)
		}
	}
	if n := faulty.Calls(testtoken.CLogin); n != 1 {
		t.Errorf("the token got the wrong PIN %d times, want 1", n)
	}
	newTestKey(t, openedBasic(t, faulty.PKCS11)).mustWork(t, "with the right PIN")
}

// TestOtherPINWhileLoggedIn: a token that is logged in does not check a PIN, so the
// driver does.
func TestOtherPINWhileLoggedIn(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	v := newTestKey(t, openedBasic(t, token))
	c := basicConfig(token)
	c.PIN = pkcs11.PIN{Env: "STRONGROOM_TEST_PIN"}
	t.Setenv("STRONGROOM_TEST_PIN", "not the PIN")
	if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Denied) {
		t.Errorf("Open with another PIN while logged in: %v, want Denied", err)
	}
	t.Setenv("STRONGROOM_TEST_PIN", testtoken.PIN)
	d, err := pkcs11.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	v.mustWork(t, "after another driver was opened and closed")
}

// TestPINChanged: after the PIN was changed and the module finalised, the old PIN is
// tried once, and the new one works as soon as the file has it.
func TestPINChanged(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	faulty := testtoken.NewFaulty(t, token)
	v, other := newTestKey(t, openedBasic(t, faulty.PKCS11)), newRawSession(t, token)
	pin := testtoken.PIN
	for i := range cycles(t) {
		next := fmt.Sprintf("changed-%d", i)
		s, err := other.OpenSession(other.slot(t), p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.SetPIN(s, pin, next); err != nil {
			t.Fatal(err)
		}
		v.mustWork(t, "while the login lasts")
		if err := other.Finalize(); err != nil {
			t.Fatal(err)
		}
		logins := faulty.Calls(testtoken.CLogin)
		for range 3 {
			if err := v.use(t); !is(err, driver.Denied) {
				t.Fatalf("a call with the old PIN: %v, want Denied", err)
			}
		}
		if n := faulty.Calls(testtoken.CLogin) - logins; n != 1 {
			t.Errorf("the token got the old PIN %d times, want 1", n)
		}
		writePIN(t, token.PINFile, next, 0o600)
		recovers(t, v)
		pin = next
	}
}

// TestPINSources reads the PIN from each kind of source.
func TestPINSources(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	t.Setenv("STRONGROOM_TEST_PIN", testtoken.PIN)
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(token.PINFile))
	fd, err := syscall.Open(token.PINFile, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, pin := range map[string]pkcs11.PIN{
		"file":       {File: token.PINFile},
		"fd":         {FD: fd},
		"env":        {Env: "STRONGROOM_TEST_PIN"},
		"credential": {Credential: filepath.Base(token.PINFile)},
		"ask":        {Ask: ask(testtoken.PIN)},
	} {
		t.Run(name, func(t *testing.T) {
			c := basicConfig(token)
			c.PIN = pin
			d, err := pkcs11.Open(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			v := newTestKey(t, d)
			if err := newRawSession(t, token).Finalize(); err != nil {
				t.Fatal(err)
			}
			v.mustWork(t, "after a second login")
		})
	}
}

// TestBadPINs: the error says what is wrong with a source, and no login with an empty PIN
// is attempted.
func TestBadPINs(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	dir := t.TempDir()
	path := func(name, pin string, mode os.FileMode) string {
		writePIN(t, filepath.Join(dir, name), pin, mode)
		return filepath.Join(dir, name)
	}
	for says, pin := range map[string]pkcs11.PIN{
		"mode 440":               {File: path("open", testtoken.PIN, 0o660)},
		"chmod 600 it":           {File: path("world", testtoken.PIN, 0o604)},
		"empty":                  {File: path("empty", "\n", 0o600)},
		"longer than":            {File: path("long", strings.Repeat("1", 300), 0o600)},
		"no such file":           {File: filepath.Join(dir, "absent")},
		"no regular file":        {File: dir},
		"PIN is empty":           {Env: "STRONGROOM_TEST_UNSET"},
		"CREDENTIALS_DIRECTORY":  {Credential: "pin"},
		"a name, not a path":     {Credential: "../pin"},
		"standard descriptors":   {FD: 1},
		"no PIN is configured":   {},
		"one source for the PIN": {Env: "A", File: "/b"},
		"4 to 255 bytes":         {Ask: ask("123")},
		"I have none":            {Ask: failing},
	} {
		c := basicConfig(faulty.PKCS11)
		c.PIN = pin
		_, err := pkcs11.Open(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want something about %q", pin, err, says)
		}
		if err != nil && strings.Contains(err.Error(), testtoken.PIN) {
			t.Errorf("the error contains the PIN: %v", err)
		}
	}
	if n := faulty.Calls(testtoken.CLogin); n != 0 {
		t.Errorf("%d logins with bad PINs, want 0", n)
	}
}

// TestPINFilesOfAGroup: the file may be readable by a group of the process, as Kubernetes
// mounts a secret with fsGroup. Other groups and owners are refused; testing that needs
// root.
func TestPINFilesOfAGroup(t *testing.T) {
	const stranger = 54321 // an id that no user or group has
	token := testtoken.NewSoftHSM(t)
	for name, f := range map[string]struct {
		mode       os.FileMode
		owner, gid int // -1 for the process's own
		refused    bool
	}{
		"own group reads":           {0o440, -1, -1, false},
		"own group reads, rw owner": {0o640, -1, -1, false},
		"root's, own group reads":   {0o440, 0, -1, false},
		"own group writes":          {0o660, -1, -1, true},
		"own group executes":        {0o450, -1, -1, true},
		"others read":               {0o444, -1, -1, true},
		"another group reads":       {0o440, -1, stranger, true},
		"another user's":            {0o440, stranger, -1, true},
	} {
		t.Run(name, func(t *testing.T) {
			c := basicConfig(token)
			c.PIN.File = filepath.Join(t.TempDir(), "pin")
			writePIN(t, c.PIN.File, testtoken.PIN, f.mode)
			if f.owner >= 0 || f.gid >= 0 {
				if os.Geteuid() != 0 {
					if os.Getenv("CI") == "true" {
						t.Fatal("only root gives files away")
					}
					t.Skip("only root gives files away")
				}
				if err := os.Chown(c.PIN.File, f.owner, f.gid); err != nil {
					t.Fatal(err)
				}
			}
			d, err := pkcs11.Open(t.Context(), c)
			if err == nil {
				d.Close()
			}
			if refused := is(err, driver.Denied); refused != f.refused || err != nil && !refused {
				t.Errorf("Open with a PIN file of mode %o: %v, want refused %v", f.mode, err, f.refused)
			}
		})
	}
}

// TestTextOfPINFiles: characters that editors and shells add to a PIN are either ignored
// or an error, and no login is attempted with them.
func TestTextOfPINFiles(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	openedBasic(t, faulty.PKCS11)
	logins := faulty.Calls(testtoken.CLogin)
	for text, says := range map[string]string{
		testtoken.PIN:                  "",
		testtoken.PIN + "\n":           "",
		testtoken.PIN + "\r\n":         "",
		testtoken.PIN + "\r":           "",
		testtoken.PIN + "\n\n":         "white space",
		testtoken.PIN + "\r\n\r\n":     "white space",
		testtoken.PIN + " ":            "white space",
		testtoken.PIN + " \n":          "white space",
		testtoken.PIN + "\t":           "white space",
		" " + testtoken.PIN:            "white space",
		"\xef\xbb\xbf" + testtoken.PIN: "byte order mark",
		"\xff\xfe5\x00c\x007\x004\x00": "byte order mark",
		"\xfe\xff\x005\x00c\x007\x004": "byte order mark",
		"\n":                           "empty",
	} {
		c := basicConfig(faulty.PKCS11)
		c.PIN.File = filepath.Join(t.TempDir(), "pin")
		writePIN(t, c.PIN.File, text, 0o600)
		d, err := pkcs11.Open(t.Context(), c)
		switch {
		case says == "" && err != nil:
			t.Errorf("Open with the PIN file %q: %v", text, err)
		case says != "" && (!is(err, driver.Denied) || !strings.Contains(err.Error(), says)):
			t.Errorf("Open with the PIN file %q: %v, want Denied that says %q", text, err, says)
		}
		if err == nil {
			d.Close()
		}
	}
	if n := faulty.Calls(testtoken.CLogin) - logins; n != 0 {
		t.Errorf("%d logins with refused PIN files, want 0", n)
	}
}

// TestLoginUnasked: the configured PIN is used although CKF_LOGIN_REQUIRED is clear.
func TestLoginUnasked(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.LoginUnasked)
	v := newTestKey(t, openedBasic(t, faulty.PKCS11))
	if err := newRawSession(t, faulty.PKCS11).Finalize(); err != nil {
		t.Fatal(err)
	}
	v.mustWork(t, "after a second login")
}

// TestTokenWithoutLogin: a token whose profile says that it checks no PIN gets none.
// SoftHSM then hides its private objects.
func TestTokenWithoutLogin(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	c := basicConfig(faulty.PKCS11)
	c.Profile = "kmsp11"
	if d, err := pkcs11.Open(t.Context(), c); err == nil {
		if len(d.Info().Specs) > 0 {
			t.Errorf("the driver offers %+v without a login, want nothing", d.Info().Specs)
		}
		d.Close()
	}
	if n := faulty.Calls(testtoken.CLogin); n != 0 {
		t.Errorf("%d logins with a profile without login, want 0", n)
	}
}

// TestCredentialOfAServiceWithAUser: a systemd credential has a group permission. A
// permission for others is refused.
func TestCredentialOfAServiceWithAUser(t *testing.T) {
	token, dir := testtoken.NewSoftHSM(t), t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	c := basicConfig(token)
	c.PIN = pkcs11.PIN{Credential: "pin"}
	writePIN(t, filepath.Join(dir, "pin"), testtoken.PIN, 0o444)
	if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Denied) {
		t.Errorf("Open with a credential that others may read: %v, want Denied", err)
	}
	writePIN(t, filepath.Join(dir, "pin"), testtoken.PIN, 0o440)
	newTestKey(t, openedWith(t, c)).mustWork(t, "with a permission for the group")
}

// TestPINFromAPipe: a pipe in place of the file is refused, without waiting for a writer.
func TestPINFromAPipe(t *testing.T) {
	c := basicConfig(testtoken.NewSoftHSM(t))
	c.PIN = pkcs11.PIN{File: filepath.Join(t.TempDir(), "pin")}
	if err := syscall.Mkfifo(c.PIN.File, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Denied) {
		t.Errorf("Open with a pipe as the PIN file: %v, want Denied", err)
	}
}

// TestPINFromADescriptor: the descriptor is read after the token has been found, and only
// once. Another file that reuses its number is never read as a PIN.
func TestPINFromADescriptor(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	c := basicConfig(faulty.PKCS11)
	fd, err := syscall.Open(c.PIN.File, syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	c.PIN = pkcs11.PIN{FD: fd}
	label := c.Label
	c.Label = "not yet there"
	if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Unavailable) {
		t.Fatal(err)
	}
	c.Label = label
	d, err := pkcs11.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("Open once the token exists: %v", err)
	}
	d.Close()
	next, err := syscall.Open(basicConfig(faulty.PKCS11).PIN.File, syscall.O_RDONLY, 0)
	if err != nil || next == fd {
		t.Fatalf("descriptor %d, then %d: %v, want it still open", fd, next, err)
	}
	defer syscall.Close(next)
	logins := faulty.Calls(testtoken.CLogin)
	if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Denied) || faulty.Calls(testtoken.CLogin) != logins {
		t.Errorf("second Open with the same descriptor: %v, want Denied without a login", err)
	}
	if err := syscall.Close(fd); err != nil {
		t.Error(err)
	}
}
