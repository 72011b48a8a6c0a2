package cli

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// createNew lets write make a new file that only its owner can read, and removes it after
// an error.
func createNew(path string, write func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return usage("%s exists already", path)
	}
	if err != nil {
		return err
	}
	if err = errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

func (a *app) backupCommand() *cobra.Command {
	var specs []string
	var o vault.BackupOptions
	c := &cobra.Command{
		Use: "backup FILE", Short: "Write an encrypted backup to a new file", Args: cobra.ExactArgs(1),
		Long: "backup writes keys, audit log and settings, encrypted to protectors of the backup's own, and verifies every record\n" +
			"while it writes it. It prints the backup's id: --since ID makes the next backup hold only what changed since.\n" +
			"Material that only a device has is not in it.",
		Example: "  id=$(strongroom backup monday.backup --protector new-recovery-code:/media/usb/backup.code -o json | jq -r .id)\n" +
			"  strongroom backup tuesday.backup --since \"$id\" --protector recovery-code:file:/media/usb/backup.code",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, args []string) error {
			protectors, err := newProtectors(ctx, s, specs)
			if err != nil {
				return err
			}
			var b vault.Backup
			err = createNew(args[0], func(f *os.File) (err error) {
				b, err = s.Client().Backup(ctx, f, o, protectors...)
				return err
			})
			if err != nil {
				return err
			}
			return a.one(b, "file", args[0], "id", b.ID, "since", b.Since, "vault", b.Vault, "created", b.Created, "audit records", b.AuditSize)
		}),
	}
	c.Flags().StringArrayVar(&specs, "protector", nil, protectorHelp)
	c.Flags().StringVar(&o.Since, "since", "", "the `id` of the backup on which this one is based")
	must(c.MarkFlagRequired("protector"))
	return c
}

func (a *app) restoreCommand() *cobra.Command {
	var specs []string
	var unlock, config string
	var changes session.Settings
	c := &cobra.Command{
		Use: "restore FILE...", Short: "Make a vault from backups", Args: cobra.MinimumNArgs(1),
		Long: "restore makes the vault in a directory that holds none, from a full backup and those that are based on it, in order.\n" +
			"The vault has its former id, keys and audit log, and the protectors that are given here.",
		Example: "  strongroom restore monday.backup tuesday.backup --dir v --protector new-key-file:/root/v.key \\\n" +
			"    --backup-unlock recovery-code:file:/media/usb/backup.code",
		RunE: a.command(func(ctx context.Context, s *session.Session, args []string) error {
			overlay(&s.Settings, changes)
			from, closeAll, err := openAll(args)
			defer closeAll()
			if err != nil {
				return err
			}
			opener, err := s.ProtectorOf(ctx, unlock, "of the backup")
			if err != nil {
				return err
			}
			protectors, err := newProtectors(ctx, s, specs)
			if err != nil {
				return err
			}
			if err := s.Restore(ctx, from, opener, protectors); err != nil {
				return err
			}
			return a.announce(s, config, specs)
		}),
	}
	f := c.Flags()
	f.StringVar(&unlock, "backup-unlock", "", "the `protector` that opens the backups: passphrase[:SOURCE], recovery-code[:SOURCE], key-file:PATH or device:NAME")
	f.StringArrayVar(&specs, "protector", nil, protectorHelp)
	f.StringVar(&config, "write-config", "", "write a new configuration `file`")
	must(c.MarkFlagRequired("backup-unlock"))
	must(c.MarkFlagRequired("protector"))
	addVaultFlags(c, &changes)
	return c
}

// openAll opens files for reading.
func openAll(paths []string) (from []io.Reader, closeAll func(), err error) {
	closeAll = func() {
		for _, f := range from {
			f.(*os.File).Close()
		}
	}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return from, closeAll, notThere(err)
		}
		from = append(from, f)
	}
	return from, closeAll, nil
}

// A repaired is the JSON form of a repair.
type repaired struct {
	Rebuilt     bool   `json:"rebuilt"`
	Fault       string `json:"fault,omitempty"`
	LostFrom    uint64 `json:"lost_from"`
	LostTo      uint64 `json:"lost_to"`
	FromJournal bool   `json:"from_journal"`
	SetAside    string `json:"set_aside,omitempty"`
	Checkpoint  string `json:"checkpoint,omitempty"`
}

func (a *app) repairCommand() *cobra.Command {
	return &cobra.Command{
		Use: "repair", Short: "Rebuild the store of a damaged vault", Args: cobra.NoArgs,
		Long: "repair rebuilds the store of a closed vault that is damaged, from its journal and what is intact. It sets the damaged\n" +
			"files aside, and names the audit records that are lost. It does not bring back what was rolled back.",
		Example: "  cp -a v v.before && strongroom repair --dir v",
		RunE: a.command(func(ctx context.Context, s *session.Session, _ []string) error {
			r, err := s.Repair(ctx)
			if err != nil {
				return err
			}
			j := repaired{r.Rebuilt, "", r.LostFrom, r.LostTo, r.FromJournal, r.SetAside, string(r.Checkpoint)}
			if r.Fault != nil {
				j.Fault = r.Fault.Error()
			}
			lost := "none"
			if r.LostTo > r.LostFrom {
				lost = cell(r.LostFrom) + " up to " + cell(r.LostTo-1)
			}
			return a.one(j, "rebuilt", j.Rebuilt, "fault", j.Fault, "lost audit records", lost, "keys from journal", j.FromJournal, "set aside", j.SetAside, "checkpoint", j.Checkpoint)
		}),
	}
}
