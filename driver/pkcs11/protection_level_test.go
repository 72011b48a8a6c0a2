//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
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

// TestLeaksAreTested: leaks of symmetric and of private keys are tested, and those of
// private keys also if HMAC is not offered.
func TestLeaksAreTested(t *testing.T) {
	const mechanismInvalid = 0x70
	faulty := testtoken.NewFaulty(t, testtoken.NewNSS(t))
	for _, fails := range []bool{false, true} {
		want := []string{"keeps a private key from being wrapped", "keeps a sensitive key from being wrapped"}
		if fails {
			faulty.Fail(testtoken.CGenerateKey, mechanismInvalid, 1, false) // the first is that of HMAC
			want[1] = "HMAC_SHA_256/DERIVE"
		}
		r, err := pkcs11.Probe(t.Context(), config(faulty.PKCS11))
		if err != nil {
			t.Fatal(err)
		}
		missing := make(map[string]bool)
		for _, f := range r.Findings {
			missing[f.Ability] = !f.Works
		}
		for _, ability := range want {
			if !missing[ability] {
				t.Errorf("not found missing, with HMAC failing: %v: %s\n%v", fails, ability, r)
			}
		}
	}
}
