//go:build cgo && unix

package main

import (
	"os"
	"testing"

	"strongroom.example/internal/pkcs11uri"
	"strongroom.example/internal/testing/testtoken"
)

// TestTokenScripts runs terminal sessions over a token of SoftHSM, whose URI is $TOKEN with
// the source of the PIN, and $ASKING without it. $NEW_TOKEN is another
// one, and $ABSENT_TOKEN is not there.
func TestTokenScripts(t *testing.T) {
	token, other := testtoken.NewSoftHSM(t), testtoken.NewSoftHSM(t)
	absent := token
	absent.Label = "absent"
	runScripts(t, "testdata/token", map[string]string{
		"TOKEN": tokenURI(token, true), "ASKING": tokenURI(token, false), "NEW_TOKEN": tokenURI(other, true),
		"ABSENT_TOKEN": tokenURI(absent, true),
		"PIN":          testtoken.PIN, "SOFTHSM2_CONF": os.Getenv("SOFTHSM2_CONF"),
	})
}

// tokenURI returns the URI of a token, with the source of its PIN if it is asked for.
func tokenURI(token testtoken.PKCS11, pin bool) string {
	u := pkcs11uri.URI{Scheme: "pkcs11", Path: map[string]string{"token": token.Label}, Query: map[string]string{
		"module-path": token.Module,
		"x-without":   "RSA_2048", // whose self-test would take most of the time
	}}
	if pin {
		u.Query["pin-source"] = "file:" + token.PINFile
	}
	return u.String()
}
