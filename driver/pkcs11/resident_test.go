//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
)

// TestTokenWithoutSessionObjects: all that it makes lasts, and templates name class and
// type. It offers what it can do; the keys of the self-test are destroyed, also those
// that one left which was broken off, and no list shows them.
func TestTokenWithoutSessionObjects(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.NoSessionObjects, testtoken.WantsType)
	c := config(faulty.PKCS11)
	c.Profile = "yubihsm"
	faulty.Fail(testtoken.CDestroyObject, codes["FUNCTION_NOT_SUPPORTED"], 1<<30, false) // nothing is cleared away
	d, err := pkcs11.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for id, err := range d.(driver.Lister).ListKeys(t.Context()) {
		t.Errorf("a key of the self-test is listed: %v, %v", id, err)
	}
	d.Close()
	faulty.Fail(testtoken.CDestroyObject, 0, 0, false)
	c.Profile = "yubihsm"
	if _, err := pkcs11.Probe(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	// The sentinel and the token's own, and two halves: SoftHSM leaves one behind for each
	// template that it refuses to C_UnwrapKey.
	if n := objects(t, faulty.PKCS11); n > 5 {
		t.Errorf("%d objects are left", n)
	}
	d = openedWith(t, c)
	for _, spec := range []driver.KeySpec{sealSpec, {Algorithm: driver.ECP256, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Decrypt}} {
		row, ok := d.Info().Find(spec)
		if !ok || !row.Import {
			t.Errorf("%v is not offered", spec)
			continue
		}
		everyWay(t, d, row)
	}
}

// TestTokenWithFewRoles: it refuses the roles of recovery and a public half that is not
// private, and makes key pairs all the same.
func TestTokenWithFewRoles(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.FewRoles)
	d := opened(t, faulty.PKCS11)
	for _, spec := range []driver.KeySpec{{Algorithm: driver.ECP256, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Decrypt}} {
		row, ok := d.Info().Find(spec)
		if !ok || !row.Import {
			t.Errorf("%v is not offered", spec)
			continue
		}
		everyWay(t, d, row)
	}
}
