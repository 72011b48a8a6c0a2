//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// TestKeyThatDoesNotLast: a key that the token makes as a session object is not returned.
func TestKeyThatDoesNotLast(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	d := opened(t, faulty.PKCS11)
	in := sample(t, driver.ECP256)
	faulty.Be(testtoken.TokenIgnored)
	for _, spec := range []driver.KeySpec{derive, {Algorithm: driver.ECP256, Usage: driver.Sign}} {
		if _, err := d.GenerateKey(t.Context(), freshID(), spec); !is(err, driver.Unsupported) {
			t.Errorf("GenerateKey of a %v that is not persistent: %v, want Unsupported", spec, err)
		}
	}
	if _, err := d.(driver.Importer).ImportKey(t.Context(), freshID(), driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}, in); !is(err, driver.Unsupported) {
		t.Errorf("ImportKey of a key that is not persistent: %v, want Unsupported", err)
	}
}

// TestTemplateOfOneUsage: the token refuses an attribute for keys that unwrap. Other keys
// of the same type keep all attributes.
func TestTemplateOfOneUsage(t *testing.T) {
	faulty := testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	faulty.Be(testtoken.NoUnwrapTemplate)
	d, a := opened(t, faulty.PKCS11), newAttacker(t, faulty.PKCS11)
	for _, usage := range []driver.Usage{driver.Decrypt, driver.Sign} {
		id := freshID()
		if _, err := d.GenerateKey(t.Context(), id, driver.KeySpec{Algorithm: driver.RSA2048, Usage: usage}); err != nil {
			t.Fatal(err)
		}
		o := a.objects(id)[0]
		got, err := a.GetAttributeValue(a.session, o, []*p11.Attribute{attribute(p11.CKA_ALLOWED_MECHANISMS, nil)})
		if err != nil || len(got[0].Value) == 0 || a.is(o, p11.CKA_MODIFIABLE) || a.is(o, p11.CKA_COPYABLE) {
			t.Errorf("%s: the key lacks attributes that the token accepts for it: %v", usage, err)
		}
	}
}
