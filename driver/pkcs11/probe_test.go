//go:build cgo && unix

package pkcs11_test

import (
	"context"
	"reflect"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

func TestProbe(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		report, err := pkcs11.Probe(context.Background(), config(token))
		if err != nil {
			t.Fatal(err)
		}
		t.Log(report)
		info := opened(t, token).Info()
		if report.Level != info.Level || !reflect.DeepEqual(report.Specs, info.Specs) || report.Device != info.Device {
			t.Errorf("Probe returned %+v, want the same as a driver: %+v", report, info)
		}
		for _, spec := range []driver.KeySpec{
			{Algorithm: driver.HMACSHA256, Usage: driver.Derive},
			{Algorithm: driver.RSA2048, Usage: driver.Sign}, {Algorithm: driver.RSA2048, Usage: driver.Decrypt},
			{Algorithm: driver.RSA2048, Usage: driver.Unwrap}, {Algorithm: driver.ECP256, Usage: driver.Sign},
			{Algorithm: driver.ECP384, Usage: driver.Sign}, {Algorithm: driver.ECP521, Usage: driver.Sign},
		} {
			if _, ok := info.Find(spec); !ok && token.Whole {
				t.Errorf("%s does not offer %v, so that tests of it are skipped", token.Label, spec)
			}
		}
	})
}
