//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// TestSentinelDestroyed: only the sentinel is destroyed. The driver makes a new one, and
// keys keep working. If the token has no other key of the driver, it is reported as
// unavailable.
func TestSentinelDestroyed(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := opened(t, token)
		a, id := newAttackSession(t, token), driver.MaterialID([]byte("strongroom-watch"))
		destroy := func() {
			t.Helper()
			if err := a.DestroyObject(a.session, a.objects(id)[0]); err != nil {
				t.Fatal(err)
			}
		}
		v := newTestKey(t, d)
		destroy()
		if _, err := d.OpenKey(t.Context(), freshID(), derive, nil); !is(err, driver.NotFound) {
			t.Errorf("OpenKey of a missing key without the sentinel: %v, want NotFound", err)
		}
		v.mustWork(t, "without the sentinel")
		a = newAttackSession(t, token) // the old session may have ended
		if len(listed(t, d)) > 1 {
			return // a token that the environment names
		}
		if err := d.DestroyKey(t.Context(), v.id, nil); err != nil {
			t.Fatal(err)
		}
		destroy()
		if _, err := d.OpenKey(t.Context(), freshID(), derive, nil); !is(err, driver.Unavailable) {
			t.Errorf("OpenKey in an empty token: %v, want Unavailable", err)
		}
	})
}
