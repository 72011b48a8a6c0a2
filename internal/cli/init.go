package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"strongroom.example/driver"
	"strongroom.example/internal/cli/session"
	"strongroom.example/internal/cli/terminal"
)

const protectorHelp = "a `protector`: passphrase[:SOURCE], recovery-code[:SOURCE], new-recovery-code[:PATH], new-key-file:PATH, key-file:PATH or device:NAME; may be repeated"

// A created is the JSON form of a new vault.
type created struct {
	Directory string `json:"directory"`
	VaultID   string `json:"vault_id"`
	LogKey    string `json:"log_key"`
	Edition   string `json:"edition"`
	Config    string `json:"config,omitempty"`
}

func (a *app) initCommand() *cobra.Command {
	var specs []string
	var config string
	var changes session.Settings
	c := &cobra.Command{
		Use: "init", Short: "Create a vault", Args: cobra.NoArgs,
		Long: "init creates a vault that any one of the protectors opens. Without --protector it asks for a passphrase, and shows\n" +
			"a recovery code. It prints the vault's id and log key: keep both outside the directory, because they pin the vault.\n" +
			"--write-config writes them to a new configuration file, with everything else that later commands need.",
		Example: "  strongroom init --dir /var/lib/vault --write-config ~/.config/strongroom/config.json\n" +
			"  strongroom init --dir v --protector new-key-file:/root/v.key --protector new-recovery-code:/media/usb/v.code\n" +
			"  strongroom init --dir w --device chip=tpm: --driver chip --protector device:chip --protector passphrase",
		RunE: a.command(func(ctx context.Context, s *session.Session, _ []string) error {
			overlay(&s.Settings, changes)
			if len(specs) == 0 && !terminal.Present() {
				return usage("name a --protector: there is no terminal to ask for a passphrase")
			}
			if len(specs) == 0 {
				specs = []string{"passphrase", "new-recovery-code"}
			}
			if s.Settings.Exists() {
				return fmt.Errorf("%w: %s", errVaultExists, s.Directory)
			}
			protectors, err := newProtectors(ctx, s, specs)
			if err != nil {
				return err
			}
			if err := s.Create(ctx, protectors); err != nil {
				return err
			}
			return a.announce(s, config, specs)
		}),
	}
	f := c.Flags()
	f.StringArrayVar(&specs, "protector", nil, protectorHelp)
	f.StringVar(&config, "write-config", "", "write a new configuration `file`")
	addVaultFlags(c, &changes)
	return c
}

// addVaultFlags adds the flags of commands that make a vault.
func addVaultFlags(c *cobra.Command, s *session.Settings) {
	f := c.Flags()
	f.StringVar(&s.Edition, "edition", "", "the `edition`: STANDARD, FIPS or SM")
	f.StringVar(&s.Driver, "driver", "", "the `device` for new keys")
	f.StringVar(&s.MinLevel, "min-level", "", "the lowest protection `level` of new keys: SOFTWARE, TPM or HSM")
	f.BoolVar(&s.AcceptLossWithMachine, "accept-loss-with-machine", false, "permit a vault that is lost with this machine")
	must(c.RegisterFlagCompletionFunc("edition", fixed("STANDARD", "FIPS", "SM")))
	must(c.RegisterFlagCompletionFunc("min-level", fixed(string(driver.LevelSoftware), string(driver.LevelTPM), string(driver.LevelHSM))))
}

// overlay sets those fields of s that the flags of the command give a value other than the
// zero value.
func overlay(s *session.Settings, flags session.Settings) {
	for field, value := range map[*string]string{&s.Edition: flags.Edition, &s.Driver: flags.Driver, &s.MinLevel: flags.MinLevel} {
		if value != "" {
			*field = value
		}
	}
	s.AcceptLossWithMachine = s.AcceptLossWithMachine || flags.AcceptLossWithMachine
}

func newProtectors(ctx context.Context, s *session.Session, specs []string) ([]driver.Protector, error) {
	var protectors []driver.Protector
	for _, spec := range specs {
		p, err := s.NewProtector(ctx, spec)
		if err != nil {
			return nil, err
		}
		protectors = append(protectors, p)
	}
	return protectors, nil
}

// announce prints the new vault, and writes its configuration file if config names one.
func (a *app) announce(s *session.Session, config string, specs []string) error {
	c := created{Directory: s.Directory, VaultID: s.Vault.ID(), LogKey: s.Vault.LogKey(), Edition: s.Vault.Edition().String(), Config: config}
	if config != "" {
		if err := s.SaveFor(config, specs); err != nil {
			return fmt.Errorf("the vault was created, but not its configuration file: %w", err)
		}
	}
	return a.one(c, "directory", c.Directory, "vault id", c.VaultID, "log key", c.LogKey, "edition", c.Edition, "configuration", c.Config)
}
