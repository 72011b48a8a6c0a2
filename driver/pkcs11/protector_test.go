//go:build cgo && unix

package pkcs11_test

import (
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/pkcs11"
	"strongroom.example/internal/testing/testtoken"
)

// TestProtectorConformance tests the protector against the contract. A driver in memory
// serves as another token.
func TestProtectorConformance(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := opened(t, token)
		drivertest.RunProtector(t, func(t *testing.T) (right, wrong driver.Protector) {
			return pkcs11.NewProtector(d), pkcs11.NewProtector(drivertest.NewMemory())
		})
	})
}

// TestProtectorByRSA hides HMAC, so that the secret is encrypted with RSA-OAEP. The blob
// opens only in its own vault.
func TestProtectorByRSA(t *testing.T) {
	p := pkcs11.NewProtector(without{opened(t, testtoken.NewSoftHSM(t)), driver.HMACSHA256})
	b, root := driver.Binding{VaultID: [16]byte{1}, Edition: driver.FIPS}, []byte("thirty-two bytes of a vault root")
	blob, err := p.Protect(t.Context(), b, root)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Recover(t.Context(), nil, b, blob); err != nil || string(got) != string(root) {
		t.Fatalf("Recover: %v, or not the root that was protected", err)
	}
	for i := range blob {
		blob[i] ^= 4
		if _, err := p.Recover(t.Context(), nil, b, blob); !is(err, driver.Denied) {
			t.Errorf("Recover with byte %d flipped: %v, want Denied", i, err)
		}
		blob[i] ^= 4
	}
	b.Edition = driver.Standard
	if _, err := p.Recover(t.Context(), nil, b, blob); !is(err, driver.Denied) {
		t.Errorf("Recover in another edition: %v, want Denied", err)
	}
}

// TestProtectorOnTwoTokens: the blob of one token does not open with another one,
// although both have a key for the vault.
func TestProtectorOnTwoTokens(t *testing.T) {
	first, second := opened(t, testtoken.NewSoftHSM(t)), opened(t, testtoken.NewSoftHSM(t))
	b, root := driver.Binding{VaultID: [16]byte{1}}, make([]byte, 32)
	blob, err := pkcs11.NewProtector(first).Protect(t.Context(), b, root)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs11.NewProtector(second).Recover(t.Context(), nil, b, blob); !is(err, driver.Denied) || !errors.Is(err, driver.ErrWrongDevice) {
		t.Errorf("Recover with a token without the key: %v, want Denied with ErrWrongDevice", err)
	}
	if _, err := pkcs11.NewProtector(second).Protect(t.Context(), b, root); err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs11.NewProtector(second).Recover(t.Context(), nil, b, blob); !is(err, driver.Denied) {
		t.Errorf("Recover with another token: %v, want Denied", err)
	}
	if _, err := pkcs11.NewProtector(first).Recover(t.Context(), nil, b, blob); err != nil {
		t.Errorf("Recover with the token that protected the root: %v", err)
	}
}

// without hides one algorithm of a driver.
type without struct {
	driver.Driver
	hidden driver.KeyAlgorithm
}

func (w without) Info() driver.Info {
	info := w.Driver.Info()
	var left []driver.SpecInfo
	for _, row := range info.Specs {
		if row.Spec.Algorithm != w.hidden {
			left = append(left, row)
		}
	}
	info.Specs = left
	return info
}
