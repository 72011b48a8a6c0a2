//go:build cgo && unix

package pkcs11_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
)

// TestCredentialOfAServiceWithAUser: a systemd credential has a group permission. A
// permission for others is refused.
func TestCredentialOfAServiceWithAUser(t *testing.T) {
	token, dir := testtoken.NewSoftHSM(t), t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	c := config(token)
	c.PIN = pkcs11.PIN{Credential: "pin"}
	writePIN(t, filepath.Join(dir, "pin"), testtoken.PIN, 0o444)
	if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Denied) {
		t.Errorf("Open with a credential that others may read: %v, want Denied", err)
	}
	writePIN(t, filepath.Join(dir, "pin"), testtoken.PIN, 0o440)
	newVictim(t, openedWith(t, c)).mustWork(t, "with a permission for the group")
}

// TestPINFromAPipe: a pipe in place of the file is refused, without waiting for a writer.
func TestPINFromAPipe(t *testing.T) {
	c := config(testtoken.NewSoftHSM(t))
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
	c := config(faulty.PKCS11)
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
	next, err := syscall.Open(config(faulty.PKCS11).PIN.File, syscall.O_RDONLY, 0)
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
