//go:build cgo && unix

package pkcs11_test

import (
	"slices"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// TestTokenWithoutPKCS1: a token's new firmware signs with RSA-PSS but not with PKCS #1
// v1.5. The driver offers PSS, existing keys open and sign with it, and keys can be
// imported.
func TestTokenWithoutPKCS1(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	c, id := config(faulty.PKCS11), freshID()
	spec := driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Sign}
	d := open(t, faulty.PKCS11)
	if _, err := d.GenerateKey(t.Context(), id, spec); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	faulty.Be(testtoken.NoPKCS1)
	c.Profile = "generic" // makes the driver run the self-test again
	d = openedWith(t, c)
	row, ok := d.Info().Find(spec)
	if !ok || !slices.Contains(row.Sign, driver.RSAPSSSHA256) || slices.Contains(row.Sign, driver.RSAPKCS1SHA256) || !row.Import {
		t.Fatalf("%v on a token without PKCS #1 v1.5 signatures: listed %v, %+v; want PSS alone, with import", spec, ok, row)
	}
	key, err := d.OpenKey(t.Context(), id, spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Close()
	if _, err := key.(driver.Signer).Sign(t.Context(), driver.RSAPSSSHA256, make([]byte, 32)); err != nil {
		t.Errorf("Sign by PSS with an existing key: %v", err)
	}
	if _, err := key.(driver.Signer).Sign(t.Context(), driver.RSAPKCS1SHA256, make([]byte, 32)); !is(err, driver.Unsupported) {
		t.Errorf("Sign by PKCS #1 v1.5: %v, want Unsupported", err)
	}
	everyWay(t, d, row)
}

// TestSentinelWithoutItsMechanism: the token no longer supports the sentinel's algorithm.
// Its other algorithms work, and a missing key is NotFound.
func TestSentinelWithoutItsMechanism(t *testing.T) {
	const mechanismInvalid = 0x70
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	c := config(faulty.PKCS11)
	d := open(t, faulty.PKCS11)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	faulty.Fail(testtoken.CSignInit, mechanismInvalid, 1<<30, false)
	c.Profile = "generic" // makes the driver run the self-test again
	d = openedWith(t, c)
	spec := driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}
	if _, ok := d.Info().Find(derive); ok {
		t.Errorf("%v is offered by a token that no longer signs", derive)
	}
	if _, err := d.OpenKey(t.Context(), freshID(), spec, nil); !is(err, driver.NotFound) {
		t.Errorf("OpenKey of a key that is not there: %v, want NotFound", err)
	}
	id := freshID()
	if _, err := d.GenerateKey(t.Context(), id, spec); err != nil {
		t.Fatal(err)
	}
	if err := d.DestroyKey(t.Context(), id, nil); err != nil {
		t.Errorf("DestroyKey: %v", err)
	}
}
