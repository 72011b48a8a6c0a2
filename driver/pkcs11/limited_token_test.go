//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

// TestTokenWithoutSessionObjects: the token makes only persistent objects and requires
// class and type in templates. The driver offers its abilities. The keys of the self-test
// are destroyed, including those of an interrupted one, and ListKeys does not return
// them.
func TestTokenWithoutSessionObjects(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.NoSessionObjects, testtoken.WantsType)
	c := config(faulty.PKCS11)
	c.Profile = "yubihsm"
	faulty.Fail(testtoken.CDestroyObject, codes["FUNCTION_NOT_SUPPORTED"], 1<<30, false) // no object can be destroyed
	first, err := pkcs11.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for id, err := range first.ListKeys(t.Context()) {
		t.Errorf("ListKeys returns a key of the self-test: %v, %v", id, err)
	}
	first.Close()
	faulty.Fail(testtoken.CDestroyObject, 0, 0, false)
	c.Profile = "yubihsm"
	if _, err := pkcs11.Probe(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	// The sentinel, the token's own object, and two partial objects: SoftHSM leaves one
	// for each template that it refuses in C_UnwrapKey.
	if n := objects(t, faulty.PKCS11); n > 5 {
		t.Errorf("%d objects are left, want at most 5", n)
	}
	d := openedWith(t, c)
	for _, spec := range []driver.KeySpec{{Algorithm: driver.ECP256, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Decrypt}} {
		row, ok := d.Info().Find(spec)
		if !ok || !row.Import {
			t.Errorf("%v is not offered", spec)
			continue
		}
		everyWay(t, d, row)
	}
}

// TestTokenWithFewRoles: the token refuses the recovery roles, and CKA_PRIVATE of a
// public key. Key pairs can still be made.
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
