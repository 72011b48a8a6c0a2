// Recover-a-vault loses the TPM, the passphrase, the store and the machine of a vault, and gets
// it back each time. The document docs/recovery.md does the same at the command line.
//
//	go run ./examples/recover-a-vault
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
)

// A drill is the directory of a vault with its recovery code.
type drill struct {
	io.Writer
	dir  string
	code driver.Protector
}

type opener = func(context.Context, string, vault.Config, ...driver.Protector) (*vault.Vault, error)

func main() { demo.Main(run) }

func run(ctx context.Context, w io.Writer, dir string) error {
	code, err := soft.NewRecoveryCode() // a real program prints it with AppendCode, for a safe
	if err != nil {
		return err
	}
	d := &drill{w, filepath.Join(dir, "vault"), code}
	for _, lose := range []func(context.Context) error{d.loseTPM, d.losePassphrase, d.loseStore, d.loseMachine} {
		if err = lose(ctx); err != nil {
			break
		}
	}
	return err
}

// with opens (or creates) the vault, checks all that is stored, calls use and closes the vault.
func (d *drill) with(ctx context.Context, open opener, what string, use func(vault.Client) error, p ...driver.Protector) error {
	v, err := open(ctx, d.dir, vault.Config{}, p...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	c := v.As(vault.DefaultOwner)
	err = c.Check(ctx)
	if err == nil && use != nil {
		err = use(c)
	}
	fmt.Fprintln(d, what)
	return errors.Join(err, v.Close())
}

// loseTPM: another TPM does not open the vault. The recovery code does, and the vault then
// seals its root to the present TPM. Only keys that are in a TPM are lost with it.
func (d *drill) loseTPM(ctx context.Context) error {
	locks, stop, err := demo.EmulatedLocks(ctx, d, 2) // never a real TPM, because it gets lost
	if err != nil {
		return err
	}
	defer stop()
	if err := d.with(ctx, vault.Create, "a TPM opens the new vault", nil, locks[0], d.code); err != nil {
		return err
	}
	if _, err := vault.Open(ctx, d.dir, vault.Config{}, locks[1]); !errors.Is(err, vault.ErrWrongDevice) {
		return fmt.Errorf("another TPM: %v", err)
	}
	if err := d.with(ctx, vault.Open, "the TPM is lost: the recovery code opens the vault", nil, locks[1], d.code); err != nil {
		return err
	}
	return d.with(ctx, vault.Open, "from now on the new TPM opens it", nil, locks[1])
}

// losePassphrase: the recovery code sets a new passphrase. RotateRoot ends all protectors but
// the given ones, because somebody may remember the old passphrase.
func (d *drill) losePassphrase(ctx context.Context) error {
	fresh := soft.Passphrase([]byte("read this from a person"))
	replace := func(c vault.Client) error { return c.RotateRoot(ctx, fresh, d.code) }
	if err := d.with(ctx, vault.Open, "the passphrase is forgotten: the recovery code opens the vault", replace, d.code); err != nil {
		return err
	}
	return d.with(ctx, vault.Open, "from now on the new passphrase opens it", nil, fresh)
}

// loseStore: Repair makes the store again from the journal. Audit records that were in the
// store only are lost; the last export has them.
func (d *drill) loseStore(ctx context.Context) error {
	removed := os.RemoveAll(filepath.Join(d.dir, "store"))
	report, err := vault.Repair(ctx, d.dir, vault.Config{}, d.code)
	if err := errors.Join(removed, err); err != nil {
		return err
	}
	what := fmt.Sprintf("the store is deleted: Repair made it again, without %d audit records", report.LostTo-report.LostFrom)
	return d.with(ctx, vault.Open, what, nil, d.code)
}

// loseMachine: a backup opens by protectors of its own, and becomes a vault on a new machine.
func (d *drill) loseMachine(ctx context.Context) error {
	var copied bytes.Buffer // in a real program: a file on another machine, or Config.Backup
	backup := func(c vault.Client) error {
		_, err := c.Backup(ctx, &copied, vault.BackupOptions{}, d.code)
		return err
	}
	if err := errors.Join(d.with(ctx, vault.Open, "the vault makes a backup", backup, d.code), os.RemoveAll(d.dir)); err != nil {
		return err
	}
	v, err := vault.Restore(ctx, d.dir, vault.Config{}, []io.Reader{&copied}, d.code, d.code)
	if err != nil {
		return err
	}
	return errors.Join(v.Close(), d.with(ctx, vault.Open, "the machine is lost: the backup is a vault on a new one", nil, d.code))
}
