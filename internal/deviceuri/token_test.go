//go:build cgo && unix

package deviceuri

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/pkcs11uri"
	"strongroom.example/internal/testing/testtoken"
)

// TestOpenToken opens a token whose URI names the source of the PIN, and one whose PIN the
// program asks for.
func TestOpenToken(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	u := pkcs11uri.URI{Scheme: "pkcs11", Path: map[string]string{"token": token.Label},
		Query: map[string]string{"module-path": token.Module}}
	asked := 0
	ask := Options{PIN: func(context.Context) ([]byte, error) {
		asked++
		pin, err := os.ReadFile(token.PINFile)
		return bytes.TrimSpace(pin), err
	}}

	d, err := Open(t.Context(), u.String(), ask)
	if name := closeAfter(t, d, err); name != "pkcs11" || asked == 0 {
		t.Errorf("%s, and the PIN was asked for %d times", name, asked)
	}
	asked = 0
	u.Query["pin-source"] = "file:" + token.PINFile
	d, err = Open(t.Context(), u.String(), ask)
	if closeAfter(t, d, err); asked != 0 {
		t.Error("the PIN was asked for although the URI names its source")
	}
	if _, ok := d.(*pkcs11.Driver); !ok {
		t.Errorf("the driver is a %T", d)
	}
	u.Path["token"] = "another"
	if d, err := Open(t.Context(), u.String(), ask); d != nil || !errors.Is(err, driver.Unavailable) {
		t.Errorf("Open of a token that is not there = %v, %v", d, err)
	}
}
