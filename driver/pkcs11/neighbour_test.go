//go:build cgo && unix

package pkcs11_test

import (
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
)

// neighbours opens two tokens of one module.
func neighbours(t *testing.T) (faulty, next testtoken.FaultyPKCS11) {
	t.Helper()
	faulty = testtoken.NewFaulty(t, testtoken.NewSoftHSM(t))
	next = faulty
	next.PKCS11 = testtoken.NewSoftHSM(t)
	next.Module = faulty.Module
	return faulty, next
}

// TestNeighbourOfATokenThatIsAway: while one token is away, the other one works and is
// not logged in again repeatedly.
func TestNeighbourOfATokenThatIsAway(t *testing.T) {
	faulty, next := neighbours(t)
	v, w := newVictim(t, opened(t, faulty.PKCS11)), newVictim(t, opened(t, next.PKCS11))
	faulty.TakeAway(t)
	defer faulty.PutBack(t)
	logins := faulty.Calls(testtoken.CLogin)
	for start := time.Now(); time.Since(start) < 5*time.Second; time.Sleep(time.Millisecond) {
		if err := v.use(t); !is(err, driver.Unavailable) {
			t.Fatalf("a call to the token that is away: %v, want Unavailable", err)
		}
		w.mustWork(t, "its neighbour")
	}
	if n := faulty.Calls(testtoken.CLogin) - logins; n > 2 {
		t.Errorf("%d logins of the other token in 5 s, want at most 2", n)
	}
}

// TestNeighbourOfATokenThatIsSought: repeated attempts to open a missing token do not
// initialise the module again each time.
func TestNeighbourOfATokenThatIsSought(t *testing.T) {
	faulty, _ := neighbours(t)
	w := newVictim(t, opened(t, faulty.PKCS11))
	c := config(faulty.PKCS11)
	c.Label = "nobody"
	starts, begin := faulty.Calls(testtoken.CFinalize), time.Now()
	for range 3 {
		if _, err := pkcs11.Open(t.Context(), c); !is(err, driver.Unavailable) {
			t.Error(err)
		}
		w.mustWork(t, "the token that is there")
	}
	if n, took := faulty.Calls(testtoken.CFinalize)-starts, time.Since(begin); time.Duration(n-1)*time.Second > took {
		t.Errorf("the module was initialised %d times in %v, want at most once a second", n, took)
	}
}
