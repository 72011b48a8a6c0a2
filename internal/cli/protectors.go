package cli

import (
	"context"

	"github.com/spf13/cobra"

	"strongroom.example/driver"
	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

func (a *app) protectorsCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "protectors", Short: "List, add and remove what opens the vault",
		Long: "Each protector opens the vault alone: a passphrase, a recovery code, a key file, a token or a TPM. Keep one that is\n" +
			"not bound to this machine.",
	}
	c.AddCommand(a.protectorsList(), a.protectorsAdd(), a.protectorsRemove(), a.protectorsRotate())
	return c
}

func (a *app) printProtectors(protectors ...vault.Protector) error {
	p := a.columns("ID", "KIND", "THIS MACHINE ONLY", "CREATED")
	for _, r := range protectors {
		if err := p.row(r, r.ID, r.Kind, r.MachineBound, r.Created); err != nil {
			return err
		}
	}
	return p.flush()
}

func (a *app) protectorsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the protectors", Args: cobra.NoArgs,
		Example: "  strongroom protectors list",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) error {
			list, err := s.Client().ListProtectors(ctx)
			if err != nil {
				return err
			}
			return a.printProtectors(list...)
		}),
	}
}

func (a *app) protectorsAdd() *cobra.Command {
	return &cobra.Command{
		Use: "add PROTECTOR", Short: "Add a protector", Args: cobra.ExactArgs(1),
		Long: "add adds a protector: passphrase[:SOURCE], recovery-code[:SOURCE], new-recovery-code[:PATH], new-key-file:PATH,\n" +
			"key-file:PATH or device:NAME[?pcrs=N,…]. The protector that opened the vault is the proof of access.",
		Example: "  strongroom protectors add new-recovery-code\n  strongroom protectors add 'device:chip?pcrs=7'",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			p, err := s.NewProtector(ctx, args[0])
			if err != nil {
				return err
			}
			var added vault.Protector
			err = s.Prove(ctx, func(unlock driver.Protector) (err error) {
				added, err = s.Client().AddProtector(ctx, unlock, p)
				return err
			})
			if err != nil {
				return err
			}
			return a.printProtectors(added)
		}),
	}
}

func (a *app) protectorsRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove ID", Short: "Remove a protector", Args: cobra.ExactArgs(1),
		Long: "remove removes a protector. It still opens copies of the directory that were made before; \"protectors rotate-root\"\n" +
			"ensures that it does not open later ones.",
		Example: "  old=$(strongroom protectors list -o json | jq -r 'select(.kind == \"passphrase\").id')\n" +
			"  strongroom protectors remove \"$old\" && strongroom protectors rotate-root --protector key-file:/root/v.key",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			return s.Client().RemoveProtector(ctx, args[0])
		}),
	}
}

func (a *app) protectorsRotate() *cobra.Command {
	var specs []string
	c := &cobra.Command{
		Use: "rotate-root", Short: "Replace the vault's root and the keys of its records", Args: cobra.NoArgs,
		Long: "rotate-root replaces the root. Afterwards the vault has only the protectors that are given here, and no other\n" +
			"opens the new contents. At least one must open the vault already: add a new one first.",
		Example: "  strongroom protectors rotate-root --protector key-file:/root/v.key \\\n" +
			"    --protector recovery-code:file:/media/usb/v.code",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) error {
			var protectors []driver.Protector
			for _, spec := range specs {
				p, err := s.ProtectorOf(ctx, spec, "that stays")
				if err != nil {
					return err
				}
				protectors = append(protectors, p)
			}
			if err := s.Client().RotateRoot(ctx, protectors...); err != nil {
				return err
			}
			list, err := s.Client().ListProtectors(ctx)
			if err != nil {
				return err
			}
			return a.printProtectors(list...)
		}),
	}
	c.Flags().StringArrayVar(&specs, "protector", nil, "a `protector` that stays: passphrase[:SOURCE], recovery-code[:SOURCE], key-file:PATH or device:NAME; may be repeated")
	must(c.MarkFlagRequired("protector"))
	return c
}
