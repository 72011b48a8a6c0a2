//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/internal/testing/testtoken"
)

// removeObjects destroys, when the test ends, every object that the test left in a token
// that the environment names. Objects from before the test stay.
func removeObjects(t *testing.T, token testtoken.PKCS11) {
	t.Helper()
	before := ids(t, token)
	t.Cleanup(func() {
		d := open(t, token) // logs in
		defer d.Close()
		i := newRawSession(t, token)
		s, err := i.OpenSession(i.slot(t), p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
		if err != nil {
			t.Fatal(err)
		}
		defer i.CloseSession(s)
		left := 0
		for o, id := range i.all(t, s) {
			if !before[id] {
				left++
				if err := i.DestroyObject(s, o); err != nil {
					t.Errorf("DestroyObject of an object that the test left: %v", err)
				}
			}
		}
		t.Logf("%d objects swept out of the token", left)
	})
}

// ids returns the ids of all objects that are visible after a login.
func ids(t *testing.T, token testtoken.PKCS11) map[string]bool {
	t.Helper()
	d := open(t, token)
	defer d.Close()
	i := newRawSession(t, token)
	s, err := i.OpenSession(i.slot(t), p11.CKF_SERIAL_SESSION)
	if err != nil {
		t.Fatal(err)
	}
	defer i.CloseSession(s)
	seen := make(map[string]bool)
	for _, id := range i.all(t, s) {
		seen[id] = true
	}
	return seen
}

// all returns every object of the token with its id.
func (i rawSession) all(t *testing.T, s p11.SessionHandle) map[p11.ObjectHandle]string {
	t.Helper()
	if err := i.FindObjectsInit(s, []*p11.Attribute{attribute(p11.CKA_TOKEN, true)}); err != nil {
		t.Fatal(err)
	}
	found, _, err := i.FindObjects(s, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	i.FindObjectsFinal(s)
	list := make(map[p11.ObjectHandle]string)
	for _, o := range found {
		if a, err := i.GetAttributeValue(s, o, []*p11.Attribute{attribute(p11.CKA_ID, nil)}); err == nil {
			list[o] = string(a[0].Value)
		}
	}
	return list
}
