//go:build cgo && unix

package pkcs11_test

import (
	"context"
	"reflect"
	"testing"

	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testtoken"
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
			t.Errorf("Probe finds %+v, and a driver says %+v", report, info)
		}
	})
}
