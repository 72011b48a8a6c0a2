//go:build cgo && unix

package pkcs11_test

import (
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/testtoken"
)

// TestNoAllocationPerCall: with space in dst a call allocates nothing, so that a busy
// token causes no garbage collection. Sign allocates only the signature.
func TestNoAllocationPerCall(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	d := opened(t, testtoken.NewSoftHSM(t))
	digest, dst := make([]byte, 32), make([]byte, 0, 2048)
	for _, c := range []struct {
		spec driver.KeySpec
		most float64
		call func(k driver.Key) error
	}{
		{derive, 0, func(k driver.Key) error { _, err := k.(driver.PRF).PRF(t.Context(), dst, digest); return err }},
		{driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}, 1, func(k driver.Key) error {
			_, err := k.(driver.Signer).Sign(t.Context(), driver.ECDSASHA256, digest)
			return err
		}},
		{driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Sign}, 1, func(k driver.Key) error {
			_, err := k.(driver.Signer).Sign(t.Context(), driver.RSAPKCS1SHA256, digest)
			return err
		}},
	} {
		id := freshID()
		if _, err := d.GenerateKey(t.Context(), id, c.spec); err != nil {
			t.Fatal(err)
		}
		k, err := d.OpenKey(t.Context(), id, c.spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(100, func() {
			if err := c.call(k); err != nil {
				t.Fatal(err)
			}
		})
		if n > c.most {
			t.Errorf("%v: %v allocations a call, want fewer", c.spec, n)
		}
	}
}
