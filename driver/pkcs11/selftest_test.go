//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

// TestOneFailureInTheSelfTest: one call of each function fails, in some cases with its
// operation left active. It is repeated, so that all abilities of the token are offered.
func TestOneFailureInTheSelfTest(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	c := config(faulty.PKCS11)
	want, err := pkcs11.Probe(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, once := range []map[testtoken.PKCS11Call]string{
		{testtoken.CSign: "DEVICE_ERROR", testtoken.CGenerateKey: "GENERAL_ERROR", testtoken.CUnwrapKey: "VENDOR"},
		{testtoken.CDecrypt: "FUNCTION_FAILED", testtoken.CSignInit: "SESSION_HANDLE_INVALID", testtoken.CGenerateKeyPair: "DEVICE_MEMORY"},
	} {
		for call, name := range once {
			faulty.Fail(call, codes[name], 1, false)
		}
		got, err := pkcs11.Probe(t.Context(), c)
		if err != nil || got.String() != want.String() {
			t.Errorf("self-test with one failure of each of %v: %v, or another report:\n%v", once, err, got)
		}
	}
}

// TestLastingFailureInTheSelfTest: an ability that fails in every attempt is not offered,
// and is tried again at the next start. A token without any ability does not open.
func TestLastingFailureInTheSelfTest(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	c := basicConfig(faulty.PKCS11)
	for name, profile := range map[string]string{"DEVICE_MEMORY": "softhsm", "SESSION_HANDLE_INVALID": "generic", "GENERAL_ERROR": "luna"} {
		c.Profile = profile // makes the driver run the self-test again
		for _, code := range []uint32{codes[name], 0} {
			faulty.Fail(testtoken.CGenerateKey, code, 1<<30, false)
			if code == 0 {
				faulty.Fail(testtoken.CGenerateKey, 0, 0, false)
			}
			d, err := pkcs11.Open(t.Context(), c)
			if err != nil {
				t.Fatalf("Open with %s: %v", name, err)
			}
			if _, ok := d.Info().Find(derive); ok != (code == 0) {
				t.Errorf("with code %#x (%s) HMAC is offered: %v, want it with code 0 only", code, name, ok)
			}
			d.Close()
		}
	}
	c.Profile = "nshield"
	faulty.Fail(testtoken.CGetAttribute, codes["DEVICE_ERROR"], 1<<30, false)
	if d, err := pkcs11.Open(t.Context(), c); !is(err, driver.Unavailable) {
		t.Errorf("Open of a token on which everything fails: %v, want Unavailable", err)
		if err == nil {
			d.Close()
		}
	}
}

// TestSentinelOfAnotherShape: the self-test has other results at the next start. The
// existing sentinel is still used.
func TestSentinelOfAnotherShape(t *testing.T) {
	const mechanismInvalid = 0x70
	for _, first := range []uint32{0, mechanismInvalid} {
		faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
		c := basicConfig(faulty.PKCS11)
		for start, code := range []uint32{first, mechanismInvalid - first} {
			c.Profile = []string{"softhsm", "generic"}[start] // makes the driver run the self-test again
			faulty.Fail(testtoken.CGenerateKey, code, 1<<30, false)
			if code == 0 {
				faulty.Fail(testtoken.CGenerateKey, 0, 0, false)
			}
			d, err := pkcs11.Open(t.Context(), c)
			if err != nil {
				t.Errorf("Open at start %d: %v", start, err)
				continue
			}
			if _, err := d.OpenKey(t.Context(), freshID(), d.Info().Specs[0].Spec, nil); !is(err, driver.NotFound) {
				t.Errorf("start %d: OpenKey of a missing key: %v, want NotFound", start, err)
			}
			d.Close()
		}
	}
}
