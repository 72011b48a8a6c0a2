//go:build cgo && unix

package pkcs11_test

import (
	"path/filepath"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
)

// TestCredentialOfAServiceWithAUser: systemd hands it over with a permission for the
// group. One for others is refused.
func TestCredentialOfAServiceWithAUser(t *testing.T) {
	token, dir := testtoken.NewSoftHSM(t), t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	c := config(token)
	c.PIN = pkcs11.PIN{Credential: "pin"}
	writePIN(t, filepath.Join(dir, "pin"), testtoken.PIN, 0o444)
	if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Denied) {
		t.Errorf("with a permission for others: %v", err)
	}
	writePIN(t, filepath.Join(dir, "pin"), testtoken.PIN, 0o440)
	newVictim(t, openedWith(t, c)).mustWork(t, "with a permission for the group")
}
