// Mtls-hsm serves TLS 1.3 with a key in an HSM, to many clients at once, which show
// certificates too. The audit log has a record of each handshake.
//
//	go run ./examples/mtls-hsm
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

const clients = 8

func main() { demo.Main(run) }

func run(ctx context.Context, w io.Writer, dir string) (err error) {
	device, stop, err := demo.HSM(ctx, w)
	if err != nil {
		return err
	}
	defer stop()
	defer func() { err = errors.Join(err, device.Close()) }()
	code, err := soft.NewRecoveryCode() // for the day on which the token is lost; a real program keeps it
	if err != nil {
		return err
	}
	cfg := vault.Config{Drivers: map[string]driver.Driver{"hsm": device}, Driver: "hsm"}
	v, err := vault.Create(ctx, filepath.Join(dir, "vault"), cfg, device.Protector(), code)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	c := v.As(vault.DefaultOwner)
	key, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "web-tls", Usage: vault.SignVerify, Spec: vault.RSA2048})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "made the key web-tls: %s, %s\n", key.Spec, key.Residence)
	signer, err := c.Signer(ctx, key.ID)
	if err != nil {
		return err
	}
	if err := serve(ctx, w, signer); err != nil {
		return err
	}
	signatures := 0
	for _, err := range c.AuditRecords(ctx, audit.Filter{Key: key.ID, Operation: string(vault.OpSign)}) {
		if err != nil {
			return err
		}
		signatures++
	}
	fmt.Fprintf(w, "the audit log has %d signatures by the key\n", signatures)
	return nil
}

// serve has clients connect at the same time. Each handshake is one signature in the HSM.
func serve(ctx context.Context, w io.Writer, signer *vault.Signer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ca, err := demo.NewCA()
	if err != nil {
		return err
	}
	cert, err := ca.Issue("web.example", signer)
	if err != nil {
		return err
	}
	address, err := demo.Serve(ctx, &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool,
	})
	if err != nil {
		return err
	}
	var wait sync.WaitGroup
	var errs [clients]error
	for i := range clients {
		wait.Go(func() { errs[i] = call(ctx, ca, address, fmt.Sprint("client-", i)) })
	}
	wait.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d clients connected at once by TLS 1.3\n", clients)
	return nil
}

// call connects as a client of a name.
func call(ctx context.Context, ca *demo.CA, address, name string) error {
	key, err := demo.NewKey()
	if err != nil {
		return err
	}
	cert, err := ca.Issue(name, key)
	if err != nil {
		return err
	}
	greeting, _, err := demo.Call(ctx, address, &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: ca.Pool, ServerName: "web.example", Certificates: []tls.Certificate{cert},
	})
	if err == nil && greeting != "hello "+name+"\n" {
		err = fmt.Errorf("%s was greeted with %q", name, greeting)
	}
	return err
}
