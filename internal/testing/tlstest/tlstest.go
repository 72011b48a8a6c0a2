// Package tlstest tests a crypto.Signer in a certificate and in a TLS handshake.
package tlstest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"
)

// Host is the host name in the certificates.
const Host = "edge.example"

// Request has the signer sign a certificate request, and verifies its signature.
func Request(t *testing.T, s crypto.Signer) {
	t.Helper()
	template := &x509.CertificateRequest{Subject: pkix.Name{CommonName: Host}, DNSNames: []string{Host}}
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

// Handshake has the signer sign its own certificate, and runs TLS 1.3 and 1.2 with a
// server that uses it.
func Handshake(t *testing.T, s crypto.Signer) {
	t.Helper()
	cert := certificate(t, s)
	handshake(t, cert, tls.VersionTLS13)
	cert.SupportedSignatureAlgorithms = onlyAlgorithm(s.Public())
	handshake(t, cert, tls.VersionTLS12)
}

// onlyAlgorithm returns the only algorithm of a key on a larger curve, or nil for other
// keys. TLS 1.2 would otherwise request a signature with any hash.
func onlyAlgorithm(public crypto.PublicKey) []tls.SignatureScheme {
	if key, ok := public.(*ecdsa.PublicKey); ok {
		switch key.Curve {
		case elliptic.P384():
			return []tls.SignatureScheme{tls.ECDSAWithP384AndSHA384}
		case elliptic.P521():
			return []tls.SignatureScheme{tls.ECDSAWithP521AndSHA512}
		}
	}
	return nil
}

func handshake(t *testing.T, cert tls.Certificate, version uint16) {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	near, far := net.Pipe()
	defer near.Close()
	server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: version, MaxVersion: version})
	done := make(chan error, 1)
	go func() {
		defer far.Close()
		done <- server.HandshakeContext(context.Background())
	}()
	client := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: Host, MinVersion: version, MaxVersion: version})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Errorf("client of %s: %v", tls.VersionName(version), err)
		near.Close()
	}
	if err := <-done; err != nil {
		t.Errorf("server of %s: %v", tls.VersionName(version), err)
	}
}

func certificate(t *testing.T, s crypto.Signer) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: Host}, DNSNames: []string{Host},
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
