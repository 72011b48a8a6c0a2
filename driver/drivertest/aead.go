package drivertest

import (
	"bytes"
	"context"
	"fmt"

	"strongroom.example/driver"
)

// eachAEAD runs a check on the shared key of each sealing spec.
func eachAEAD(t tb, s *subject, run func(driver.AEAD)) {
	t.Helper()
	for _, row := range s.rows(driver.Seal) {
		k := sharedKey[driver.AEAD](t, s, row)
		run(k)
		closeKey(t, k)
	}
}

func seal(t tb, k driver.AEAD, plaintext, aad []byte) []byte {
	t.Helper()
	ciphertext, err := k.Seal(context.Background(), nil, plaintext, aad)
	if err != nil {
		t.Fatalf("Seal of %d bytes: %v", len(plaintext), err)
	}
	return ciphertext
}

// refusesToOpen checks that a ciphertext does not open: the class is Authentic and there
// is no output.
func refusesToOpen(t tb, k driver.AEAD, ciphertext, aad []byte, what string) {
	t.Helper()
	out, err := k.Open(context.Background(), nil, ciphertext, aad)
	wantClass(t, err, what, driver.Authentic)
	if len(out) != 0 {
		t.Errorf("%s: Open returned %d bytes of output with its error", what, len(out))
	}
}

func aeadRoundTrip(t tb, s *subject) {
	eachAEAD(t, s, func(k driver.AEAD) {
		for _, n := range []int{0, 1, 15, 16, 17, 4096} {
			for _, aad := range [][]byte{nil, []byte("a"), make([]byte, 1000)} {
				plaintext := randomBytes(n)
				ciphertext := seal(t, k, plaintext, aad)
				got, err := k.Open(context.Background(), nil, ciphertext, aad)
				if err != nil || !bytes.Equal(got, plaintext) {
					t.Errorf("Open did not return the plaintext of %d bytes, with %d bytes of aad: %v", n, len(aad), err)
				}
				if n >= 16 && bytes.Contains(ciphertext, plaintext) {
					t.Errorf("the ciphertext of %d bytes contains the plaintext", n)
				}
			}
		}
	})
}

func aeadWrongAAD(t tb, s *subject) {
	eachAEAD(t, s, func(k driver.AEAD) {
		ciphertext := seal(t, k, []byte("plaintext"), []byte("aad"))
		for _, aad := range []string{"", "aae", "aad\x00", "aa"} {
			refusesToOpen(t, k, ciphertext, []byte(aad), fmt.Sprintf("aad %q in the place of %q", aad, "aad"))
		}
	})
}

func aeadWrongKey(t tb, s *subject) {
	for _, row := range s.rows(driver.Seal) {
		made := makeKey(t, s.Driver, row)
		other := openKey[driver.AEAD](t, s.Driver, made)
		eachAEAD(t, s, func(k driver.AEAD) {
			refusesToOpen(t, other, seal(t, k, []byte("plaintext"), nil), nil, "the ciphertext of another key")
		})
		closeKey(t, other)
		s.discard(t, made)
	}
}

func aeadEveryByteFlipped(t tb, s *subject) {
	eachAEAD(t, s, func(k driver.AEAD) {
		ciphertext := seal(t, k, []byte("sixteen bytes and more"), []byte("aad"))
		for i := range ciphertext {
			refusesToOpen(t, k, flipped(ciphertext, i), []byte("aad"), fmt.Sprintf("byte %d flipped", i))
		}
	})
}

func aeadShort(t tb, s *subject) {
	eachAEAD(t, s, func(k driver.AEAD) {
		ciphertext := seal(t, k, []byte("plaintext"), nil)
		for n := range ciphertext {
			refusesToOpen(t, k, ciphertext[:n:n], nil, fmt.Sprintf("the first %d bytes", n))
		}
		refusesToOpen(t, k, append(bytes.Clone(ciphertext), 0), nil, "a byte too many")
	})
}
