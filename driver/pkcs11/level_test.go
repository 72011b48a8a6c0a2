//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
)

// TestLevelOfAnUnknownKind: a software token without a profile is not reported as a
// device.
func TestLevelOfAnUnknownKind(t *testing.T) {
	c := config(testtoken.NewSoftHSM(t))
	c.Profile = "generic"
	r, err := pkcs11.Probe(t.Context(), c)
	if err != nil || r.Level != driver.LevelSoftware {
		t.Errorf("Probe with profile generic: level %s, %v, want SOFTWARE", r.Level, err)
	}
}

// TestLeaksAreTried: leaks are also tested if HMAC is not offered, and for private keys.
func TestLeaksAreTried(t *testing.T) {
	const mechanismInvalid = 0x70
	faulty := testtoken.NewFaulty(t, testtoken.NewNSS(t))
	faulty.Fail(testtoken.CGenerateKey, mechanismInvalid, 1, false) // the first is that of HMAC
	r, err := pkcs11.Probe(t.Context(), config(faulty.PKCS11))
	if err != nil {
		t.Fatal(err)
	}
	leaks := make(map[string]bool)
	for _, f := range r.Findings {
		leaks[f.Ability] = !f.Works
	}
	for _, ability := range []string{"HMAC_SHA_256/DERIVE", "keeps a sensitive key from being wrapped", "keeps a private key from being wrapped"} {
		if !leaks[ability] {
			t.Errorf("the leak was not found: %s\n%v", ability, r)
		}
	}
}
