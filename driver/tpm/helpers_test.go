package tpm_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// newTPM starts a fresh TPM. At the end of the test it checks that the TPM's count of wrong
// authorizations has not changed, neither by a wrong blob nor by a power cut.
func newTPM(t testing.TB) *testtoken.SWTPM {
	t.Helper()
	s := testtoken.NewSWTPM(t)
	t.Cleanup(func() {
		if t.Failed() {
			return // a driver may still be connected, and the TPM serves one client
		}
		if n := failures(t, s); n != 0 {
			t.Errorf("the TPM counted %d failed authorizations, want 0", n)
		}
	})
	return s
}

// failures reads the count of wrong authorizations. No driver may be connected.
func failures(t testing.TB, s *testtoken.SWTPM) uint32 {
	t.Helper()
	s.Start() // in case it is off
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rsp, err := tpm2.GetCapability{
		Capability:    tpm2.TPMCapTPMProperties,
		Property:      uint32(tpm2.TPMPTLockoutCounter),
		PropertyCount: 1,
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	list, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil || len(list.TPMProperty) != 1 || list.TPMProperty[0].Property != tpm2.TPMPTLockoutCounter {
		t.Fatalf("reading the lockout counter: %v", err)
	}
	return list.TPMProperty[0].Value
}

// dialer adapts the Dial of a wire or a TPM to Config.Dial.
func dialer(dial func() (testtoken.Conn, error)) func() (transport.TPMCloser, error) {
	return func() (transport.TPMCloser, error) { return dial() }
}

// openWired opens a fresh TPM through a wire.
func openWired(t testing.TB) (*tpm.Driver, *testtoken.Wire, *testtoken.SWTPM) {
	t.Helper()
	s := newTPM(t)
	w := testtoken.NewWire(s.Dial)
	return openConfig(t, tpm.Config{Dial: dialer(w.Dial)}), w, s
}

// A named is a key that a test generated, with its id and spec.
type named struct {
	id   driver.MaterialID
	spec driver.KeySpec
	driver.Created
}

func generate(t testing.TB, d driver.Driver, spec driver.KeySpec) named {
	t.Helper()
	n := named{spec: spec}
	rand.Read(n.id[:])
	var err error
	if n.Created, err = d.GenerateKey(context.Background(), n.id, spec); err != nil {
		t.Fatal(err)
	}
	return n
}

func openAs[K driver.Key](t testing.TB, d driver.Driver, n named) K {
	t.Helper()
	k, err := d.OpenKey(context.Background(), n.id, n.spec, n.Blob)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k.(K)
}

// prf calls PRF with a fixed input.
func prf(t testing.TB, k driver.PRF) []byte {
	t.Helper()
	out, err := k.PRF(context.Background(), nil, []byte("question"))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	hmacSpec = driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive}
	p256Spec = driver.KeySpec{Algorithm: driver.ECP256, Usage: driver.Sign}
)

// loadedHandles counts the loaded handles. Two keys and a session are the driver's.
func loadedHandles(t *testing.T, d *tpm.Driver) (n int) {
	t.Helper()
	err := d.Do(func(c transport.TPM) error {
		for _, first := range []uint32{0x80000000, 0x02000000, 0x03000000} {
			rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: first, PropertyCount: 64}.Execute(c)
			if err != nil {
				return err
			}
			list, err := rsp.CapabilityData.Data.Handles()
			if err != nil {
				return err
			}
			n += len(list.Handle)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func parsePublic(t testing.TB, der []byte) any {
	t.Helper()
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// verifyAny verifies ECDSA, or RSA by PKCS #1 v1.5 with SHA-256.
func verifyAny(public any, digest, signature []byte) bool {
	if key, ok := public.(*rsa.PublicKey); ok {
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature) == nil
	}
	return verifyECDSA(public, digest, signature)
}

func verifyECDSA(public any, digest, signature []byte) bool {
	key, ok := public.(*ecdsa.PublicKey)
	return ok && ecdsa.VerifyASN1(key, digest, signature)
}
