// Package cli is the command line of Strongroom: the commands, their flags and output. Each
// command opens the vault, does one thing, and closes it.
package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

// An app holds the streams and the flags that all commands share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	format     string // "table" or "json"
	configPath string
	flags      session.Settings
	devices    []string
	skip       []string
	wait       time.Duration
	reason     string
	unpolicied bool
	quiet      bool

	began bool // the command line was right, and the command has begun
}

// Main runs a command line, without the name of the program, and returns the exit code.
func Main(args []string) int {
	// A write to a pipe without a reader is then an error, and not the end of the process:
	// the vault is closed in order.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() { // a later signal ends the process at once, but not a second copy of the first
		<-ctx.Done()
		time.Sleep(time.Second)
		stop()
	}()
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	a.addCompletion(root)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.began {
		err = &usageError{err}
	}
	return a.report(ctx, err)
}

// Root returns the tree of commands, for the documentation.
func Root() *cobra.Command { return new(app).root() }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "strongroom",
		Short: "An embedded key vault, at the command line",
		Long: `strongroom creates, uses and looks after a vault of Strongroom. A vault is a directory that
one process has open at a time: while a program uses it, these commands fail with exit code 5.

A configuration file or flags name the vault, its devices and the protectors that open it. The
file is JSON: $STRONGROOM_CONFIG, else ~/.config/strongroom/config.json, else
/etc/strongroom/config.json; "strongroom init --write-config" writes one. The SOURCE of a secret is
prompt (the default), file:PATH, fd:NUMBER or systemd:NAME; a secret is never an argument.

Exit codes:
` + exitCodesText(),
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.format != formatTable && a.format != formatJSON {
				return errFormat
			}
			return nil
		},
	}
	a.addFlags(root)
	root.AddGroup(&cobra.Group{ID: groupVault, Title: "The vault:"}, &cobra.Group{ID: groupKeys, Title: "Keys:"},
		&cobra.Group{ID: groupData, Title: "Data:"}, &cobra.Group{ID: groupTools, Title: "Tools:"})
	for group, commands := range map[string][]*cobra.Command{
		groupVault: {a.initCommand(), a.statusCommand(), a.protectorsCommand(), a.policiesCommand(), a.grantsCommand(), a.approveCommand(), a.approvalsCommand(), a.auditCommand(), a.backupCommand(), a.restoreCommand(), a.repairCommand()},
		groupKeys:  {a.keysCommand(), a.dataKeysCommand(), a.importCommand(), a.publicKeyCommand()},
		groupData:  {a.encryptCommand(), a.decryptCommand(), a.reencryptCommand(), a.sealCommand(), a.openCommand(), a.signCommand(), a.verifyCommand()},
		groupTools: {a.serveCommand(), a.doctorCommand(), a.benchCommand(), a.versionCommand(), a.manCommand()},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	a.noteBegin(root)
	root.SetHelpCommandGroupID(groupTools)
	root.SetCompletionCommandGroupID(groupTools)
	return root
}

// noteBegin makes each command note that it has begun.
func (a *app) noteBegin(c *cobra.Command) {
	if run := c.RunE; run != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			a.began = true
			return run(c, args)
		}
	}
	for _, below := range c.Commands() {
		a.noteBegin(below)
	}
}

const (
	groupVault = "vault"
	groupKeys  = "keys"
	groupData  = "data"
	groupTools = "tools"
)

func (a *app) addFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVarP(&a.flags.Directory, "dir", "d", "", "the vault's `directory`; with another one than the configuration file has, its pins and protectors do not apply")
	f.StringVar(&a.configPath, "config", "", "the configuration `file`")
	f.StringArrayVar(&a.flags.Unlock, "unlock", nil, "the `protector` that opens the vault: passphrase[:SOURCE], recovery-code[:SOURCE], key-file:PATH or device:NAME; may be repeated")
	f.StringArrayVar(&a.devices, "device", nil, "a device as `name=uri`: pkcs11:…, tpm: or soft:; may be repeated")
	f.StringArrayVar(&a.skip, "skip-device", nil, "open the vault without the device of this `name`")
	f.DurationVar(&a.wait, "wait", time.Second, "how long to wait for a vault that another process has open")
	f.StringVar(&a.reason, "reason", "", "a `text` for the audit records of this command")
	f.BoolVar(&a.unpolicied, "ignore-policies", false, "let the owner do everything, whatever policies the vault stores; the audit log records it")
	f.StringVarP(&a.format, "output", "o", formatTable, "the `format`: table for people, or json, one object per line")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "show no progress and no notices")
	must(root.RegisterFlagCompletionFunc("output", fixed(formatTable, formatJSON)))
}

// must panics with an error that can only be a mistake of this package.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// fixed completes a flag with one of the given values.
func fixed(values ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)
}

// settings returns the configuration file with the flags laid over it.
func (a *app) settings() (session.Settings, error) {
	s, err := session.Load(a.configPath)
	if err != nil {
		return s, err
	}
	if a.flags.Directory != "" {
		if !samePath(a.flags.Directory, s.Directory) { // the pins and protectors are another vault's
			s.VaultID, s.LogKey, s.Unlock = "", "", nil
		}
		s.Directory = a.flags.Directory
	}
	if len(a.flags.Unlock) > 0 {
		s.Unlock = a.flags.Unlock
	}
	devices, err := parsePairs(a.devices)
	for name, uri := range devices {
		if s.Devices == nil {
			s.Devices = make(map[string]string)
		}
		s.Devices[name] = uri
	}
	return s, err
}

// samePath reports whether two paths are equal once they are absolute.
func samePath(a, b string) bool {
	a, errA := filepath.Abs(a)
	b, errB := filepath.Abs(b)
	return errA == nil && errB == nil && a == b
}

// command returns the function of a command that needs the settings and devices, and not
// the open vault.
func (a *app) command(run func(context.Context, *session.Session, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		settings, err := a.settings()
		if err != nil {
			return err
		}
		notice := a.stderr
		if a.quiet {
			notice = io.Discard
		}
		ctx := c.Context()
		if a.reason != "" {
			ctx = vault.WithReason(ctx, a.reason)
		}
		s, err := session.New(ctx, settings, a.options(notice))
		if err == nil {
			err = run(ctx, s, args)
		}
		return errors.Join(err, s.Close())
	}
}

// options returns what the flags add to the settings.
func (a *app) options(notice io.Writer) session.Options {
	return session.Options{Skip: a.skip, Wait: a.wait, Notice: notice, IgnorePolicies: a.unpolicied}
}

// vaultCommand returns the function of a command on the open vault.
func (a *app) vaultCommand(run func(context.Context, *session.Session, []string) error) func(*cobra.Command, []string) error {
	return a.command(func(ctx context.Context, s *session.Session, args []string) error {
		if err := s.Open(ctx); err != nil {
			return err
		}
		return run(ctx, s, args)
	})
}
