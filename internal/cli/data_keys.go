package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/internal/cli/terminal"
	"strongroom.example/vault"
)

func (a *app) dataKeysCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "data-keys", Short: "Create, list and change data keys that the vault keeps under a name",
		Long: "The vault stores a named data key encrypted under a key (CMK). DATA-KEY is its id or its name. Only\n" +
			"\"data-keys open\" writes the data key itself.",
	}
	c.AddCommand(
		a.dataKeysCreate(), a.dataKeysList(), a.dataKeysDescribe(), a.dataKeysOpen(), a.dataKeysCiphertext(), a.dataKeysRename(), a.dataKeysNote(),
		a.dataKeysSwitch("enable", "Enable data keys", vault.Client.EnableDataKeys),
		a.dataKeysSwitch("disable", "Disable data keys, so that they cannot be opened", vault.Client.DisableDataKeys),
		a.dataKeysReEncrypt(), a.dataKeysDelete(), a.dataKeysCancel(),
	)
	return c
}

func (a *app) printDataKey(k vault.NamedDataKey) error {
	return a.one(k, "id", k.ID, "name", k.Name, "description", k.Description, "state", k.State, "size", k.Size, "key", k.Key,
		"version", k.Version, "origin", k.Origin, "context", map[string]string(k.Context), "created", k.Created, "creator", k.Creator,
		"deletion date", k.DeletionDate)
}

func (a *app) dataKeysCreate() *cobra.Command {
	var o vault.DataKeyOptions
	var pairs []string
	size := vault.DataKeyDefault
	c := &cobra.Command{
		Use: "create KEY NAME", Short: "Make a data key and keep it under a name", Args: cobra.ExactArgs(2),
		Example: "  strongroom data-keys create invoices database-2027 --size 32 --context table=invoices",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) (err error) {
			o.Name = args[1]
			if o.Context, err = parsePairs(pairs); err != nil {
				return err
			}
			k, err := s.Client().CreateDataKey(ctx, args[0], size, o)
			if err != nil {
				return err
			}
			return a.printDataKey(k)
		}),
	}
	f := c.Flags()
	f.IntVar(&size, "size", vault.DataKeyDefault, "the length in `bytes`; default that of the edition")
	f.StringVar(&o.Description, "description", "", "a `text`")
	f.StringArrayVar(&pairs, "context", nil, "a pair of the encryption context, `name=value`; may be repeated")
	return c
}

func (a *app) dataKeysList() *cobra.Command {
	var filter vault.DataKeyFilter
	c := &cobra.Command{
		Use: "list", Short: "List data keys", Args: cobra.NoArgs,
		Example: "  strongroom data-keys list --key invoices -o json",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) error {
			p := a.columns("ID", "NAME", "STATE", "SIZE", "KEY", "VERSION", "ORIGIN", "CREATED")
			for k, err := range s.Client().ListDataKeys(ctx, filter) {
				if err != nil {
					return err
				}
				if err := p.row(k, k.ID, k.Name, k.State, k.Size, k.Key, k.Version, k.Origin, k.Created); err != nil {
					return err
				}
			}
			return p.flush()
		}),
	}
	f := c.Flags()
	f.StringVar(&filter.Key, "key", "", "only data keys of this `key`")
	f.StringVar((*string)(&filter.State), "state", "", "only data keys in this `state`: Enabled, Disabled or PendingDeletion")
	f.StringVar(&filter.Name, "name", "", "only data keys whose name begins with this `text`")
	must(c.RegisterFlagCompletionFunc("state", fixed(string(vault.Enabled), string(vault.Disabled), string(vault.PendingDeletion))))
	return c
}

// dataKeyCommand returns a command that changes one data key and prints it as it is then.
func (a *app) dataKeyCommand(c *cobra.Command, change func(context.Context, vault.Client, []string) error) *cobra.Command {
	c.RunE = a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
		k, err := one(s.Client().DescribeDataKeys(ctx, args[0]))
		if err != nil {
			return err
		}
		args[0] = k.ID // its name may not name it afterwards
		if err := change(ctx, s.Client(), args); err != nil {
			return err
		}
		if k, err = one(s.Client().DescribeDataKeys(ctx, k.ID)); err != nil {
			return err
		}
		return a.printDataKey(k)
	})
	return c
}

// one returns the only result.
func one[T any](list []T, err error) (result T, _ error) {
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("%w: %d results in place of one", vault.ErrNotFound, len(list))
	}
	if err != nil {
		return result, err
	}
	return list[0], nil
}

func (a *app) dataKeysDescribe() *cobra.Command {
	return &cobra.Command{
		Use: "describe DATA-KEY", Short: "Show a data key", Args: cobra.ExactArgs(1),
		Example: "  strongroom data-keys describe database-2027",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			k, err := one(s.Client().DescribeDataKeys(ctx, args[0]))
			if err != nil {
				return err
			}
			return a.printDataKey(k)
		}),
	}
}

func (a *app) dataKeysOpen() *cobra.Command {
	out := ""
	c := &cobra.Command{
		Use: "open DATA-KEY", Short: "Write a data key in the clear", Args: cobra.ExactArgs(1),
		Long: "open writes the bytes of a data key to the standard output, unless that is a terminal, or to a new file that its owner\n" +
			"alone can read.",
		Example: "  strongroom data-keys open database-2027 --out database.raw\n  strongroom data-keys open database-2027 | sha256sum",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			if (out == "" || out == "-") && terminal.Is(a.stdout) {
				return usage("a data key is not written to a terminal: use --out FILE, or send it to a pipe")
			}
			k, err := s.Client().OpenNamedDataKey(ctx, args[0])
			if err != nil {
				return err
			}
			defer k.Destroy()
			return k.Use(func(key []byte) error { return a.writeOutput(ctx, out, key, true) })
		}),
	}
	c.Flags().StringVar(&out, "out", "", "write to this new `file`")
	return c
}

func (a *app) dataKeysCiphertext() *cobra.Command {
	out := ""
	c := &cobra.Command{
		Use: "ciphertext DATA-KEY", Short: "Write a data key as it is encrypted", Args: cobra.ExactArgs(1),
		Example: "  strongroom data-keys ciphertext database-2027 --out database.key",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			ct, err := s.Client().DataKeyCiphertext(ctx, args[0])
			if err != nil {
				return err
			}
			return a.writeOutput(ctx, out, ct, true)
		}),
	}
	c.Flags().StringVar(&out, "out", "", "write to this new `file`")
	return c
}

func (a *app) dataKeysRename() *cobra.Command {
	return a.dataKeyCommand(&cobra.Command{
		Use: "rename DATA-KEY NAME", Short: "Set a data key's name", Args: cobra.ExactArgs(2),
		Example: "  strongroom data-keys rename database-2027 database-old",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		return c.SetDataKeyName(ctx, args[0], args[1])
	})
}

func (a *app) dataKeysNote() *cobra.Command {
	return a.dataKeyCommand(&cobra.Command{
		Use: "description DATA-KEY TEXT", Short: "Set a data key's description", Args: cobra.ExactArgs(2),
		Example: `  strongroom data-keys description database-2027 "of the ledger"`,
	}, func(ctx context.Context, c vault.Client, args []string) error {
		return c.SetDataKeyDescription(ctx, args[0], args[1])
	})
}

func (a *app) dataKeysSwitch(name, short string, change func(vault.Client, context.Context, ...string) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " DATA-KEY...", Short: short, Args: cobra.MinimumNArgs(1),
		Example: "  strongroom data-keys " + name + " database-2027",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			return change(s.Client(), ctx, args...)
		}),
	}
}

func (a *app) dataKeysReEncrypt() *cobra.Command {
	return a.dataKeyCommand(&cobra.Command{
		Use: "reencrypt DATA-KEY", Short: "Encrypt a data key under the key's present version", Args: cobra.ExactArgs(1),
		Example: "  strongroom data-keys reencrypt database-2027",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		_, err := c.ReEncryptDataKey(ctx, args[0])
		return err
	})
}

func (a *app) dataKeysDelete() *cobra.Command {
	days := 0
	c := a.dataKeyCommand(&cobra.Command{
		Use: "delete DATA-KEY", Short: "Schedule the removal of a disabled data key", Args: cobra.ExactArgs(1),
		Long:    "delete schedules the removal of a data key that is Disabled. Until then \"data-keys cancel\" takes it back.",
		Example: "  strongroom data-keys disable database-old && strongroom data-keys delete database-old",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		_, err := c.ScheduleDataKeyDeletion(ctx, args[0], days)
		return err
	})
	c.Flags().IntVar(&days, "days", vault.MaxDeletionDays, fmt.Sprintf("the number of days, %d to %d", vault.MinDeletionDays, vault.MaxDeletionDays))
	return c
}

func (a *app) dataKeysCancel() *cobra.Command {
	return a.dataKeyCommand(&cobra.Command{
		Use: "cancel DATA-KEY", Short: "Take back the removal of a data key", Args: cobra.ExactArgs(1),
		Example: "  strongroom data-keys cancel database-old",
	}, func(ctx context.Context, c vault.Client, args []string) error {
		return c.CancelDataKeyDeletion(ctx, args[0])
	})
}
