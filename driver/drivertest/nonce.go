package drivertest

import "strongroom.example/driver"

// nonces collects the first bytes of ciphertexts of one plaintext, and their bodies. If
// two begin alike the nonce is not fresh; if two have the same body a nonce was used
// twice.
type nonces struct {
	sealed         int
	starts, bodies map[string]bool
}

func newNonces() *nonces {
	return &nonces{starts: make(map[string]bool), bodies: make(map[string]bool)}
}

// collect seals through a newly opened key, to detect a nonce that is counted per open
// key.
func (n *nonces) collect(t tb, d driver.Driver, k key) {
	t.Helper()
	opened := openKey[driver.AEAD](t, d, k)
	defer closeKey(t, opened)
	for range 16 {
		ciphertext := seal(t, opened, make([]byte, 32), nil)
		if len(ciphertext) < 32+12 {
			t.Fatalf("a ciphertext of %d bytes has no room for a nonce", len(ciphertext))
		}
		n.sealed++
		n.starts[string(ciphertext[:12])] = true
		n.bodies[string(ciphertext[len(ciphertext)-32:])] = true
	}
}

func (n *nonces) check(t tb) {
	t.Helper()
	if len(n.starts) != n.sealed || len(n.bodies) != n.sealed {
		t.Errorf("%d ciphertexts of one plaintext have %d different nonces and %d different bodies", n.sealed, len(n.starts), len(n.bodies))
	}
}

func nonceFresh(t tb, s *subject) {
	for _, row := range s.rows(driver.Seal) {
		n := newNonces()
		for range 4 {
			n.collect(t, s.Driver, s.key(t, row))
		}
		n.check(t)
	}
}

// nonceFreshAfterReopen seals before and after a restart.
func nonceFreshAfterReopen(t tb, s *subject) {
	if s.reopen == nil {
		return
	}
	for _, row := range s.rows(driver.Seal) {
		n := newNonces()
		d := s.open(t)
		k := makeKey(t, d, row)
		n.collect(t, d, k)
		closeDriver(t, d)
		d = s.reopen(t, d)
		n.collect(t, d, k)
		n.check(t)
		destroy(t, d, k)
		closeDriver(t, d)
	}
}
