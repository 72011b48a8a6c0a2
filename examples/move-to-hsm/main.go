// Move-to-hsm moves the keys of a vault that began in software into an HSM, without a change
// of any ciphertext, and makes the HSM open the vault.
//
//	go run ./examples/move-to-hsm
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

func main() { demo.Main(run) }

func run(ctx context.Context, w io.Writer, dir string) (err error) {
	home := filepath.Join(dir, "vault")
	code, err := soft.NewRecoveryCode() // a real program prints it with AppendCode, for a safe
	if err != nil {
		return err
	}
	defer code.Wipe()
	keyFile := filepath.Join(dir, "machine.key")
	if err := soft.CreateKeyFile(keyFile); err != nil {
		return err
	}
	old, err := begin(ctx, home, soft.KeyFile(keyFile), code)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "a vault without a device encrypted a record under two versions of a key")

	device, stop, err := demo.HSM(ctx, w)
	if err != nil {
		return err
	}
	defer stop()
	defer func() { err = errors.Join(err, device.Close()) }()
	cfg := vault.Config{Drivers: map[string]driver.Driver{"hsm": device}, Driver: "hsm"} // new keys are made in the HSM
	v, err := vault.Open(ctx, home, cfg, soft.KeyFile(keyFile))
	if err != nil {
		return err
	}
	if err := errors.Join(move(ctx, w, v, code, device.Protector()), v.Close()); err != nil {
		return err
	}
	// From now on the HSM opens the vault.
	if v, err = vault.Open(ctx, home, cfg, device.Protector()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	for _, ct := range old {
		if _, err := v.As(vault.DefaultOwner).Decrypt(ctx, ct, nil); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "the HSM opens the vault, and %d old ciphertexts decrypt unchanged\n", len(old))
	return nil
}

// begin makes a vault without a device, and encrypts.
func begin(ctx context.Context, home string, protectors ...driver.Protector) (old [][]byte, err error) {
	v, err := vault.Create(ctx, home, vault.Config{}, protectors...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	c := v.As(vault.DefaultOwner)
	if _, err := c.CreateKey(ctx, vault.KeyOptions{Alias: "records"}); err != nil {
		return nil, err
	}
	for range 2 {
		ct, err := c.Encrypt(ctx, "records", []byte("4711"), nil)
		if err != nil {
			return nil, err
		}
		old = append(old, ct)
		if _, err := c.RotateKey(ctx, "records"); err != nil {
			return nil, err
		}
	}
	return old, nil
}

// move moves every version of the key, and lets the HSM and the recovery code alone open the
// vault. The receipts say what moved, signed by the vault's log key.
func move(ctx context.Context, w io.Writer, v *vault.Vault, code, hsm driver.Protector) error {
	c := v.As(vault.DefaultOwner)
	receipts, err := c.MoveKey(ctx, "records", "hsm")
	if err != nil {
		return err
	}
	for _, text := range receipts {
		r, err := audit.OpenReceipt(text, v.LogKey())
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "version %d moved from %s to %s\n", r.Version, r.From.Driver, r.To.Driver)
	}
	// The root was known to the machine while it was in software, so that it is replaced too.
	if err := c.RotateRoot(ctx, hsm, code); err != nil {
		return err
	}
	protectors, err := c.ListProtectors(ctx)
	for _, p := range protectors {
		fmt.Fprintln(w, "the vault opens by:", p.Kind)
	}
	return err
}
