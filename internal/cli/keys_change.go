package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// keyCommand returns a command that changes one key and prints the key as it is then.
func (a *app) keyCommand(c *cobra.Command, change func(context.Context, vault.Client, []string) error) *cobra.Command {
	c.RunE = a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
		if err := change(ctx, s.Client(), args); err != nil {
			return err
		}
		k, err := s.Client().DescribeKey(ctx, args[0])
		if err != nil {
			return err
		}
		return a.printKey(k)
	})
	return c
}

func (a *app) keysAlias() *cobra.Command {
	var add, remove, move bool
	c := a.keyCommand(&cobra.Command{
		Use: "alias KEY [ALIAS]", Short: "Set, add, move or remove an alias", Args: cobra.RangeArgs(1, 2),
		Long: "alias changes the aliases of a key, which has up to 50. Lists show the first. Without a flag, ALIAS replaces the first.",
		Example: "  strongroom keys alias reports monthly-reports\n  strongroom keys alias monthly-reports accounts --add\n" +
			"  strongroom keys alias invoices-2027 invoices --move\n  strongroom keys alias invoices --remove",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		if remove == (len(args) == 2) || add && move || remove && (add || move) {
			return usage("give an ALIAS, with --add, --move or neither, or --remove alone")
		}
		k, err := c.DescribeKey(ctx, args[0])
		if err != nil {
			return err
		}
		given := args[0]
		args[0] = k.ID // its alias may not name it afterwards
		switch {
		case remove:
			return c.DeleteAlias(ctx, given)
		case add:
			return c.AddAlias(ctx, k.ID, args[1])
		case move:
			return c.MoveAlias(ctx, args[1], k.ID)
		}
		return c.SetAlias(ctx, k.ID, args[1])
	})
	c.Flags().BoolVar(&add, "add", false, "add the alias, and keep the first")
	c.Flags().BoolVar(&remove, "remove", false, "remove the alias KEY, or the only alias of the key with the id KEY")
	c.Flags().BoolVar(&move, "move", false, "take the alias from the key that has it, in one commit")
	return c
}

func (a *app) keysNote() *cobra.Command {
	return a.keyCommand(&cobra.Command{
		Use: "description KEY TEXT", Short: "Set a key's description", Args: cobra.ExactArgs(2),
		Example: `  strongroom keys description invoices "signs the monthly invoices"`,
	}, func(ctx context.Context, c vault.Client, args []string) error {
		return c.SetDescription(ctx, args[0], args[1])
	})
}

func (a *app) keysTag() *cobra.Command {
	var remove []string
	c := a.keyCommand(&cobra.Command{
		Use: "tag KEY [NAME=VALUE]...", Short: "Add and remove tags", Args: cobra.MinimumNArgs(1),
		Example: "  strongroom keys tag invoices team=billing cost=4711\n  strongroom keys tag invoices --remove cost",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		tags, err := parsePairs(args[1:])
		if err != nil {
			return err
		}
		if len(tags)+len(remove) == 0 {
			return usage("give a NAME=VALUE or --remove")
		}
		if len(remove) > 0 {
			if err := c.UntagKey(ctx, args[0], remove...); err != nil {
				return err
			}
		}
		if len(tags) == 0 {
			return nil
		}
		return c.TagKey(ctx, args[0], tags)
	})
	c.Flags().StringArrayVar(&remove, "remove", nil, "remove the tag of this `name`; may be repeated")
	return c
}

func (a *app) keysEnable() *cobra.Command {
	return a.keysSwitch(&cobra.Command{
		Use: "enable KEY...", Short: "Enable keys", Example: "  strongroom keys enable invoices",
	}, vault.Client.EnableKeys)
}

func (a *app) keysDisable() *cobra.Command {
	return a.keysSwitch(&cobra.Command{
		Use: "disable KEY...", Short: "Disable keys, so that they cannot be used", Example: "  strongroom keys disable invoices reports",
	}, vault.Client.DisableKeys)
}

func (a *app) keysSwitch(c *cobra.Command, change func(vault.Client, context.Context, ...string) error) *cobra.Command {
	c.Args = cobra.MinimumNArgs(1)
	c.RunE = a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
		return change(s.Client(), ctx, args...)
	})
	return c
}

func (a *app) keysRotate() *cobra.Command {
	return a.keyCommand(&cobra.Command{
		Use: "rotate KEY", Short: "Make a new version, which encrypts from then on", Args: cobra.ExactArgs(1),
		Example: "  strongroom keys rotate invoices",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		_, err := c.RotateKey(ctx, args[0])
		return err
	})
}

func (a *app) keysArchive() *cobra.Command {
	return a.keyCommand(&cobra.Command{
		Use: "archive KEY", Short: "Allow only decryption and verification from now on", Args: cobra.ExactArgs(1),
		Example: "  strongroom keys archive invoices-2025",
	}, func(ctx context.Context, c vault.Client, args []string) error { return c.ArchiveKey(ctx, args[0]) })
}

func (a *app) keysDelete() *cobra.Command {
	days := 0
	c := a.keyCommand(&cobra.Command{
		Use: "delete KEY", Short: "Schedule the destruction of a disabled key", Args: cobra.ExactArgs(1),
		Long: "delete schedules the destruction of a key that is Disabled or PendingImport. The vault destroys its material\n" +
			"after that many days, at the next time that it is open. Until then \"keys cancel\" takes it back; after that\n" +
			"nothing that the key encrypted can be decrypted.",
		Example: "  strongroom keys disable invoices && strongroom keys delete invoices --days 30",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		_, err := c.ScheduleKeyDeletion(ctx, args[0], days)
		return err
	})
	c.Flags().IntVar(&days, "days", vault.MaxDeletionDays, fmt.Sprintf("the number of days, %d to %d", vault.MinDeletionDays, vault.MaxDeletionDays))
	return c
}

func (a *app) keysCancel() *cobra.Command {
	return a.keyCommand(&cobra.Command{
		Use: "cancel KEY", Short: "Take back a scheduled deletion or the archiving", Args: cobra.ExactArgs(1),
		Example: "  strongroom keys cancel invoices",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		k, err := c.DescribeKey(ctx, args[0])
		if err == nil && k.State == vault.Archived {
			return c.CancelKeyArchive(ctx, args[0])
		}
		if err == nil {
			err = c.CancelKeyDeletion(ctx, args[0])
		}
		return err
	})
}

func (a *app) keysMove() *cobra.Command {
	var receipts string
	c := a.keyCommand(&cobra.Command{
		Use: "move KEY DRIVER", Short: "Move wrapped material to another device", Args: cobra.ExactArgs(2),
		Long: "move moves the material of all versions to another device of the configuration, or to soft. Ciphertexts do not\n" +
			"change. In a device that stores keys the material stays for ever.",
		Example: "  strongroom keys move invoices hsm --receipts invoices.receipts",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		signed, err := c.MoveKey(ctx, args[0], args[1])
		if receipts != "" && len(signed) > 0 {
			err = joinWrite(err, receipts, signed...)
		}
		return err
	})
	c.Flags().StringVar(&receipts, "receipts", "", "write the signed receipts to this new `file`")
	return c
}
