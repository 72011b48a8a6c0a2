package object

import (
	"testing"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
)

func kind(alg driver.KeyAlgorithm, usage driver.Usage, curve tpm2.TPMECCCurve) Kind {
	return Kind{Row: driver.SpecInfo{Spec: driver.KeySpec{Algorithm: alg, Usage: usage}}, Curve: curve}
}

// FuzzArea parses public areas, and converts them as the driver does.
func FuzzArea(f *testing.F) {
	for _, k := range []Kind{
		kind(driver.HMACSHA256, driver.Derive, 0),
		kind(driver.RSA2048, driver.Decrypt, 0),
		kind(driver.ECP256, driver.Sign, tpm2.TPMECCNistP256),
		kind(driver.SM2, driver.Sign, tpm2.TPMECCSM2P256),
	} {
		f.Add(tpm2.Marshal(k.Area(make([]byte, 32))))
	}
	f.Add(tpm2.Marshal(tpm2.ECCSRKTemplate))
	k := kind(driver.ECP256, driver.Sign, tpm2.TPMECCNistP256)
	f.Fuzz(func(t *testing.T, in []byte) {
		area, err := ParseArea(in)
		if err != nil {
			return
		}
		PublicDER(area)
		if err := k.Check(area, make([]byte, 32)); err == nil && area.Type != tpm2.TPMAlgECC {
			t.Error("check accepted an area of another type")
		}
		k.CheckFile(area)
	})
}
