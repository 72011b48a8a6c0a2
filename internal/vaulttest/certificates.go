package vaulttest

import (
	"crypto/rand"
	"crypto/x509/pkix"
	"errors"
	"testing"

	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/internal/tlstest"
	"strongroom.example/vault"
)

// certificates: a key is a crypto.Signer with which the standard library makes a
// certificate request, a certificate and a TLS 1.3 handshake, and gmsm a certificate
// request with SM2.
func certificates(t *testing.T, s *subject) {
	for _, r := range s.usable() {
		if r.usage != vault.SignVerify {
			continue
		}
		t.Run(r.String(), func(t *testing.T) {
			signer, err := s.shared.owner().Signer(t.Context(), s.shared.key(t, r).ID)
			if err != nil {
				t.Fatal(err)
			}
			if r.spec == vault.SM2 {
				requestBySM2(t, signer)
				return
			}
			tlstest.Request(t, signer)
			tlstest.Handshake(t, signer)
		})
	}
	for _, r := range s.each() {
		if r.usage != vault.SignVerify {
			if _, err := s.shared.owner().Signer(t.Context(), s.shared.key(t, r).ID); !errors.Is(err, vault.ErrUsage) {
				t.Errorf("Signer with a key of %s: %v, want ErrUsage", r, err)
			}
		}
	}
}

func requestBySM2(t *testing.T, s *vault.Signer) {
	t.Helper()
	template := &smx509.CertificateRequest{Subject: pkix.Name{CommonName: tlstest.Host}}
	der, err := smx509.CreateCertificateRequest(rand.Reader, template, s)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := smx509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckSignature(); err != nil {
		t.Error(err)
	}
}
