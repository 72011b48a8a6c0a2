//go:build cgo && unix

package pkcs11_test

import (
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
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
	d, a := opened(t, faulty.PKCS11), newAttackSession(t, faulty.PKCS11)
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

// TestOtherRoles replaces a signing key by a key under the same id with more roles. The
// key is not used, and the error is not NotFound.
func TestOtherRoles(t *testing.T) {
	token := testtoken.NewSoftHSM(t)
	d := opened(t, token)
	id := freshID()
	if _, err := d.GenerateKey(t.Context(), id, derive); err != nil {
		t.Fatal(err)
	}
	a := newAttackSession(t, token)
	for _, o := range a.everything(id) {
		if err := a.DestroyObject(a.session, o); err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.CreateObject(a.session, []*p11.Attribute{
		attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_GENERIC_SECRET), attribute(p11.CKA_VALUE, make([]byte, 32)),
		attribute(p11.CKA_TOKEN, true), attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, true), attribute(p11.CKA_EXTRACTABLE, false),
		attribute(p11.CKA_ID, id[:]), attribute(p11.CKA_SIGN, true), attribute(p11.CKA_WRAP, true),
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.OpenKey(t.Context(), id, derive, nil); !is(err, driver.Authentic) || !strings.Contains(err.Error(), "roles") {
		t.Errorf("OpenKey of a key with other roles: %v, want Authentic, naming the roles", err)
	}
	if _, err := d.GenerateKey(t.Context(), id, derive); !is(err, driver.Invalid) {
		t.Errorf("GenerateKey under the id of a key with other roles: %v, want Invalid", err)
	}
}
