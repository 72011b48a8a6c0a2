//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
)

// TestSentinelDestroyed: somebody destroys the sentinel and nothing else. It is made
// anew, and the keys go on. A token without any of our keys is another matter.
func TestSentinelDestroyed(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := opened(t, token)
		a, id := newAttacker(t, token), driver.MaterialID([]byte("strongroom-watch"))
		destroy := func() {
			t.Helper()
			if err := a.DestroyObject(a.session, a.objects(id)[0]); err != nil {
				t.Fatal(err)
			}
		}
		v := newVictim(t, d)
		destroy()
		if _, err := d.OpenKey(t.Context(), freshID(), derive, nil); !is(err, driver.NotFound) {
			t.Errorf("a key that is not there: %v", err)
		}
		v.mustWork(t, "without the sentinel")
		a = newAttacker(t, token) // the old session may have ended
		if len(listed(t, d)) > 1 {
			return // it is somebody's own token
		}
		if err := d.DestroyKey(t.Context(), v.id, nil); err != nil {
			t.Fatal(err)
		}
		destroy()
		if _, err := d.OpenKey(t.Context(), freshID(), derive, nil); !is(err, driver.Unavailable) {
			t.Errorf("with an empty token: %v", err)
		}
	})
}
