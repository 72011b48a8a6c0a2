// Mtls-tpm connects by TLS 1.3 with a client certificate whose key is in the TPM: a copy of the
// disk is of no use on another machine. The TPM also opens the vault.
//
//	go run ./examples/mtls-tpm
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/driver/tpm"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

func main() { demo.Main(run) }

func run(ctx context.Context, w io.Writer, dir string) (err error) {
	device, stop, err := demo.TPM(ctx, w)
	if err != nil {
		return err
	}
	defer stop()
	defer func() { err = errors.Join(err, device.Close()) }()
	v, err := create(ctx, dir, device)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	c := v.As(vault.DefaultOwner)
	key, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "gateway-tls", Usage: vault.SignVerify, Spec: vault.ECCP256})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "made the key gateway-tls: %s, %s\n", key.Spec, key.Residence)
	// The part of the program that speaks TLS gets this one key, for signatures.
	c, _, err = c.Narrow(ctx, vault.Grant{
		Keys: []string{key.ID}, Operations: []vault.Operation{vault.OpSign, vault.OpPublicKey},
	})
	if err != nil {
		return err
	}
	signer, err := c.Signer(ctx, key.ID) // a crypto.Signer for crypto/tls and crypto/x509
	if err != nil {
		return err
	}
	return connect(ctx, w, signer)
}

// create makes a vault whose root the TPM seals. The recovery code opens it when the TPM is
// lost; the key gateway-tls is lost with the TPM, and gets a new certificate then.
func create(ctx context.Context, dir string, device *tpm.Driver) (*vault.Vault, error) {
	lock, err := device.Protector(tpm.Policy{})
	if err != nil {
		return nil, err
	}
	code, err := soft.NewRecoveryCode() // a real program prints it with AppendCode, for a safe
	if err != nil {
		return nil, err
	}
	defer code.Wipe()
	cfg := vault.Config{Drivers: map[string]driver.Driver{"tpm": device}, Driver: "tpm"}
	return vault.Create(ctx, filepath.Join(dir, "vault"), cfg, lock, code)
}

// connect makes a connection with a server that asks for a certificate, and one without.
func connect(ctx context.Context, w io.Writer, signer *vault.Signer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ca, err := demo.NewCA()
	if err != nil {
		return err
	}
	serverKey, err := demo.NewKey()
	if err != nil {
		return err
	}
	serverCert, err := ca.Issue("server.example", serverKey)
	if err != nil {
		return err
	}
	clientCert, err := ca.Issue("gateway-7", signer)
	if err != nil {
		return err
	}
	address, err := demo.Serve(ctx, &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{serverCert},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool,
	})
	if err != nil {
		return err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: ca.Pool, ServerName: "server.example", Certificates: []tls.Certificate{clientCert}}
	greeting, state, err := demo.Call(ctx, address, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s with the key in the TPM, the server says: %s\n", tls.VersionName(state.Version), strings.TrimSpace(greeting))
	cfg.Certificates = nil
	if greeting, _, err = demo.Call(ctx, address, cfg); err == nil {
		return fmt.Errorf("a client without a certificate was greeted: %s", greeting)
	}
	fmt.Fprintln(w, "without the key:", err)
	return nil
}
