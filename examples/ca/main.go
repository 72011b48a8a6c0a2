// Ca runs a certificate authority whose key is in the vault: it signs the request that openssl
// made for a server, and openssl verifies the chain.
//
//	go run ./examples/ca
package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

func main() { demo.Main(run) }

func run(ctx context.Context, w io.Writer, dir string) (err error) {
	code, err := soft.NewRecoveryCode() // a real program keeps it
	if err != nil {
		return err
	}
	// With a driver in the Config the key is made in an HSM or TPM, and nothing below changes.
	v, err := vault.Create(ctx, filepath.Join(dir, "vault"), vault.Config{}, code)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	c := v.As(vault.DefaultOwner)
	if _, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "ca", Usage: vault.SignVerify, Spec: vault.ECCP384}); err != nil {
		return err
	}
	signer, err := c.Signer(ctx, "ca")
	if err != nil {
		return err
	}
	root, err := makeRoot(dir, signer)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "made the certificate of", root.Subject.CommonName)
	// The operator of the server makes a key, which stays there, and a request.
	_, err = demo.OpenSSL(ctx, w, dir, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "server.key",
		"-out", "server.csr", "-subj", "/CN=www.example", "-addext", "subjectAltName=DNS:www.example")
	if err != nil {
		return err
	}
	leaf, err := sign(dir, root, signer)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "signed the request of", leaf.DNSNames)
	verdict, err := demo.OpenSSL(ctx, w, dir, "verify", "-CAfile", "ca.pem", "-purpose", "sslserver", "-verify_hostname", "www.example", "server.pem")
	if err != nil {
		return err
	}
	fmt.Fprintln(w, verdict)
	return nil
}

// makeRoot makes the CA's own certificate.
func makeRoot(dir string, signer *vault.Signer) (*x509.Certificate, error) {
	now := time.Now()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Example CA"}, NotBefore: now, NotAfter: now.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return issue(filepath.Join(dir, "ca.pem"), template, template, signer.Public(), signer)
}

// sign reads a request, checks it, and makes the certificate. The CA decides what is in it: it
// takes the key and the names, which it has to verify in its own way first, and nothing else.
func sign(dir string, root *x509.Certificate, signer *vault.Signer) (*x509.Certificate, error) {
	text, err := os.ReadFile(filepath.Join(dir, "server.csr"))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, errors.New("server.csr is no certificate request")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, err
	}
	if err := request.CheckSignature(); err != nil { // the sender has the private key
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: request.Subject.CommonName}, DNSNames: request.DNSNames,
		NotBefore: now, NotAfter: now.AddDate(0, 3, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	return issue(filepath.Join(dir, "server.pem"), template, root, request.PublicKey, signer)
}

// issue makes a certificate with a random serial number, and writes it to a file.
func issue(path string, template, parent *x509.Certificate, public any, signer *vault.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
