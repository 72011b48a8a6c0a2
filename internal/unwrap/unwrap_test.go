package unwrap_test

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/rand"
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs1"
	"strongroom.example/internal/unwrap"
)

// algorithms are all supported algorithms.
var algorithms = []driver.WrapAlg{
	unwrap.RSAPKCS1, driver.WrapRSAOAEPSHA1, driver.WrapRSAOAEPSHA256, driver.WrapSM2,
	driver.WrapRSAAESKWP, unwrap.RSAAESKWPSHA1, unwrap.RSAAESKWPSHA256,
}

// skipRefused skips algorithms that Go refuses where the process enforces FIPS 140: SM2,
// OAEP with SHA-1, and encryption by PKCS #1 v1.5, which these tests need.
func skipRefused(t *testing.T, alg driver.WrapAlg) {
	t.Helper()
	if refusedByGo(alg) {
		t.Skipf("Go refuses %s where FIPS 140 is enforced", alg)
	}
}

func refusedByGo(alg driver.WrapAlg) bool {
	return fips140.Enforced() && alg != driver.WrapRSAOAEPSHA256 && alg != unwrap.RSAAESKWPSHA256
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// longest returns the length of the longest material of an algorithm.
func longest(alg driver.WrapAlg) int {
	switch alg {
	case unwrap.RSAPKCS1:
		return 256 - 11
	case driver.WrapRSAOAEPSHA1:
		return 256 - 2 - 2*20
	case driver.WrapRSAOAEPSHA256:
		return 256 - 2 - 2*32
	case driver.WrapSM2:
		return 146
	}
	return unwrap.MaxMaterial
}

func TestRoundTrip(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			skipRefused(t, alg)
			key := newKey(t, alg)
			for _, n := range []int{1, 16, 32, longest(alg)} {
				material := random(n)
				dst := append(make([]byte, 0, 4+unwrap.MaxMaterial), "dst:"...)
				got, err := key.unwrap(dst, alg, key.wrap(t, alg, material))
				if err != nil || string(got[:4]) != "dst:" || !bytes.Equal(got[4:], material) {
					t.Fatalf("%d bytes: %d, %v", n, len(got), err)
				}
				if &got[0] != &dst[0] {
					t.Errorf("Unwrap of %d bytes reallocated although dst had capacity", n)
				}
			}
		})
	}
}

// TestOneError changes a ciphertext in every way, and expects the identical error each
// time.
func TestOneError(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			skipRefused(t, alg)
			key, other := newKey(t, alg), newKey(t, alg)
			good, material := key.wrap(t, alg, random(32)), random(32)
			wrong := map[string][]byte{
				"nothing":        nil,
				"a byte":         {0},
				"cut":            good[:len(good)-1],
				"longer":         append(bytes.Clone(good), 0),
				"doubled":        append(bytes.Clone(good), good...),
				"above limit":    append(bytes.Clone(good), make([]byte, unwrap.MaxCiphertext)...),
				"ones":           bytes.Repeat([]byte{0xFF}, len(good)),
				"for another":    other.wrap(t, alg, material),
				"first byte":     flipped(good, 0),
				"last byte":      flipped(good, len(good)-1),
				"last RSA byte":  flipped(good, min(255, len(good)-1)),
				"cut by 8 bytes": good[:len(good)-8],
			}
			var text string
			for name, ciphertext := range wrong {
				got, err := key.unwrap([]byte("dst"), alg, ciphertext)
				if alg == unwrap.RSAPKCS1 && err == nil && len(ciphertext) == 256 {
					// Invalid padding is not an error, but must not give the material.
					if bytes.Contains(got, material) {
						t.Errorf("%s: Unwrap returned the material", name)
					}
					continue
				}
				if !errors.Is(err, driver.Authentic) || got != nil {
					t.Errorf("%s: %d bytes, %v", name, len(got), err)
					continue
				}
				if text == "" {
					text = err.Error()
				}
				if err.Error() != text || errors.Unwrap(errors.Unwrap(err)) != nil {
					t.Errorf("%s: Unwrap returned another error, %v", name, err)
				}
			}
		})
	}
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// TestImplicitRejection checks that invalid padding gives material that depends on the
// ciphertext and the secret only.
func TestImplicitRejection(t *testing.T) {
	skipRefused(t, unwrap.RSAPKCS1)
	key := newKey(t, unwrap.RSAPKCS1)
	good := key.wrap(t, unwrap.RSAPKCS1, random(32))
	plausible := 0
	for i := range 40 {
		bad := flipped(good, 1+i)
		got, err := key.unwrap(nil, unwrap.RSAPKCS1, bad)
		if err != nil {
			t.Fatal(err)
		}
		again, err := key.unwrap(nil, unwrap.RSAPKCS1, bad)
		if err != nil || !bytes.Equal(got, again) {
			t.Errorf("the same ciphertext gave two different messages, %v", err)
		}
		w := driver.Wrapped{With: key.private, Alg: unwrap.RSAPKCS1, Ciphertext: bad}
		other, err := unwrap.Unwrap(context.Background(), nil, w, make([]byte, pkcs1.KeySize))
		if err != nil || len(got) > 8 && bytes.Equal(got, other) {
			t.Errorf("two secrets gave the same synthetic message, %v", err)
		}
		if len(got) == 32 {
			plausible++
		}
	}
	if plausible > 4 {
		t.Errorf("%d of 40 synthetic messages are as long as an AES key", plausible)
	}
}

func TestArguments(t *testing.T) {
	skipRefused(t, unwrap.RSAPKCS1)
	key := newKey(t, unwrap.RSAPKCS1)
	good := driver.Wrapped{With: key.private, Alg: unwrap.RSAPKCS1, Ciphertext: key.wrap(t, unwrap.RSAPKCS1, random(32))}
	ctx := context.Background()
	stopped, stop := context.WithCancel(ctx)
	stop()
	if _, err := unwrap.Unwrap(stopped, nil, good, rejection); !errors.Is(err, context.Canceled) {
		t.Errorf("Unwrap with a context that is done: %v", err)
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := unwrap.Unwrap(ctx, nil, good, make([]byte, n)); !errors.Is(err, driver.Invalid) {
			t.Errorf("Unwrap with a secret of %d bytes: %v", n, err)
		}
	}
	w := good
	w.With = nil
	if _, err := unwrap.Unwrap(ctx, nil, w, rejection); !errors.Is(err, driver.Invalid) {
		t.Errorf("Unwrap without a key: %v", err)
	}
	for _, alg := range []driver.WrapAlg{"", "RSAES_OAEP_SHA_512", "rsaes_oaep_sha_256"} {
		w := good
		w.Alg = alg
		if _, err := unwrap.Unwrap(ctx, nil, w, rejection); !errors.Is(err, driver.Unsupported) {
			t.Errorf("algorithm %q: %v", alg, err)
		}
		if spec, ok := unwrap.KeySpec(alg); ok {
			t.Errorf("algorithm %q has the spec %v", alg, spec)
		}
	}
	if err := key.private.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := unwrap.Unwrap(ctx, nil, good, rejection); !errors.Is(err, driver.Unavailable) {
		t.Errorf("Unwrap with a closed key: %v", err)
	}
}

// TestWrongAlgorithm unwraps by each algorithm material that was wrapped by every other.
func TestWrongAlgorithm(t *testing.T) {
	skipRefused(t, unwrap.RSAPKCS1)
	sameScheme := map[driver.WrapAlg]driver.WrapAlg{driver.WrapRSAAESKWP: unwrap.RSAAESKWPSHA1, unwrap.RSAAESKWPSHA1: driver.WrapRSAAESKWP}
	key, material := newKey(t, unwrap.RSAPKCS1), random(32)
	for _, with := range algorithms {
		if with == driver.WrapSM2 {
			continue
		}
		ciphertext := key.wrap(t, with, material)
		for _, by := range algorithms {
			got, err := key.unwrap(nil, by, ciphertext)
			opens := by == with || sameScheme[by] == with
			if opens != bytes.Equal(got, material) || opens != (err == nil) && by != unwrap.RSAPKCS1 {
				t.Errorf("wrapped by %s, unwrapped by %s: %d bytes, %v", with, by, len(got), err)
			}
		}
	}
}

// FuzzUnwrap passes ciphertexts to every algorithm. Each call must return material, or
// the one error.
func FuzzUnwrap(f *testing.F) {
	keys := make(map[driver.WrapAlg]wrappingKey)
	for i, alg := range algorithms {
		if !refusedByGo(alg) {
			keys[alg] = newKey(f, alg)
			f.Add(i, keys[alg].wrap(f, alg, make([]byte, 32)))
		}
	}
	f.Fuzz(func(t *testing.T, i int, ciphertext []byte) {
		alg := algorithms[uint(i)%uint(len(algorithms))]
		key, ok := keys[alg]
		if !ok {
			return
		}
		got, err := key.unwrap(nil, alg, ciphertext)
		if err != nil && (!errors.Is(err, driver.Authentic) || got != nil) {
			t.Errorf("%s: %d bytes, %v", alg, len(got), err)
		}
	})
}
