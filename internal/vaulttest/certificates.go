package vaulttest

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/vault"
)

// host is whom the certificates are for.
const host = "edge.example"

// certificates: a key is a crypto.Signer, with which the standard library makes a
// request, a certificate and a TLS 1.3 handshake, and gmsm a request by SM2.
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
			request(t, signer)
			handshake(t, certificate(t, signer))
		})
	}
	for _, r := range s.each() {
		if r.usage != vault.SignVerify {
			if _, err := s.shared.owner().Signer(t.Context(), s.shared.key(t, r).ID); !errors.Is(err, vault.ErrUsage) {
				t.Errorf("a key of %s as a Signer: %v", r, err)
			}
		}
	}
}

func request(t *testing.T, s *vault.Signer) {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, s)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		t.Fatal(err)
	}
	if err := csr.CheckSignature(); err != nil {
		t.Error(err)
	}
}

func requestBySM2(t *testing.T, s *vault.Signer) {
	t.Helper()
	template := &smx509.CertificateRequest{Subject: pkix.Name{CommonName: host}}
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

// certificate makes a self-signed one.
func certificate(t *testing.T, s *vault.Signer) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.Public(), s)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: s, Leaf: leaf}
}

// handshake runs TLS 1.3 with a server that has the certificate.
func handshake(t *testing.T, cert tls.Certificate) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	near, far := net.Pipe()
	defer near.Close()
	server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13})
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		done <- server.HandshakeContext(context.Background())
	}()
	client := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS13})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Errorf("client: %v", err)
		near.Close()
	}
	if err := <-done; err != nil {
		t.Errorf("server: %v", err)
	}
}
