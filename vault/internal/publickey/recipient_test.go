package publickey

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"
)

// TestRecipientOfHalfAKey: a recipient whose key is damaged gets no result.
func TestRecipientOfHalfAKey(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRecipient(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Seal([]byte("x")); err != nil {
		t.Errorf("Seal: %v", err)
	}
	r.der = r.der[:20]
	if out, err := r.Seal([]byte("x")); err == nil {
		t.Errorf("Seal to half a key: %x, want an error", out)
	}
}
