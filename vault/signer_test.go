package vault

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"
)

func requestTemplate() *x509.CertificateRequest {
	return &x509.CertificateRequest{Subject: pkix.Name{CommonName: "edge.example"}, DNSNames: []string{"edge.example"}}
}

// TestSignerMakesCertificates has the standard library make a request, a
// certificate and a TLS 1.3 handshake with each kind of key.
func TestSignerMakesCertificates(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	for _, spec := range []KeySpec{ECCP256, ECCP384, ECCP521, Ed25519, RSA2048} {
		t.Run(string(spec), func(t *testing.T) {
			k := mustKey(t, c, KeyOptions{Spec: spec, Usage: SignVerify})
			s, err := c.Signer(ctx, k.ID)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.CreateCertificateRequest(rand.Reader, requestTemplate(), s)
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
			handshake(t, certificate(t, s))
		})
	}
}

// certificate makes a self-signed one.
func certificate(t *testing.T, s *Signer) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "edge.example"}, DNSNames: []string{"edge.example"},
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
	client := tls.Client(near, &tls.Config{RootCAs: roots, ServerName: "edge.example", MinVersion: tls.VersionTLS13})
	if err := client.HandshakeContext(t.Context()); err != nil {
		t.Errorf("client: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("server: %v", err)
	}
}

func TestSignerOptions(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	rsaKey, err := c.Signer(ctx, mustKey(t, c, KeyOptions{Spec: RSA2048, Usage: SignVerify}).ID)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := c.Signer(ctx, mustKey(t, c, KeyOptions{Spec: ECCP256}).ID)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("m"))
	for name, row := range map[string]struct {
		s    *Signer
		opts crypto.SignerOpts
		want error
	}{
		"PKCS #1":           {rsaKey, crypto.SHA256, nil},
		"PSS":               {rsaKey, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}, nil},
		"PSS auto":          {rsaKey, &rsa.PSSOptions{Hash: crypto.SHA256}, nil},
		"PSS 32":            {rsaKey, &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}, nil},
		"PSS 20":            {rsaKey, &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}, ErrUnsupported},
		"PSS SHA-512":       {rsaKey, &rsa.PSSOptions{Hash: crypto.SHA512}, ErrUnsupported},
		"RSA without hash":  {rsaKey, crypto.Hash(0), ErrUnsupported},
		"RSA nil":           {rsaKey, nil, ErrUnsupported},
		"P-256":             {ecKey, crypto.SHA256, nil},
		"P-256 and SHA-384": {ecKey, crypto.SHA384, ErrUnsupported},
		"EC with PSS":       {ecKey, &rsa.PSSOptions{Hash: crypto.SHA256}, ErrUnsupported},
	} {
		if _, err := row.s.Sign(nil, digest[:], row.opts); !errors.Is(err, row.want) || row.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	if _, err := ecKey.Sign(nil, digest[:31], crypto.SHA256); !errors.Is(err, ErrInvalid) {
		t.Errorf("short digest: %v", err)
	}
	k := mustKey(t, c, KeyOptions{Spec: RSA2048, Usage: AsymmetricDecrypt}).ID
	if _, err := c.Signer(ctx, k); !errors.Is(err, ErrUsage) {
		t.Errorf("a decryption key as a signer: %v", err)
	}
}
