package cli

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"strongroom.example/internal/cli/session"
	"strongroom.example/vault"
)

var errVaultExists = vault.ErrExists

// A status is the JSON form of the command status.
type status struct {
	Directory  string                 `json:"directory"`
	VaultID    string                 `json:"vault_id"`
	LogKey     string                 `json:"log_key"`
	Edition    string                 `json:"edition"`
	Suite      string                 `json:"suite"`
	Keys       map[vault.KeyState]int `json:"keys"`
	Protectors []vault.Protector      `json:"protectors"`
	Drivers    []driverStatus         `json:"drivers"`
	LastScrub  time.Time              `json:"last_scrub,omitzero"`
	Doubt      bool                   `json:"time_in_doubt"`
	Checked    bool                   `json:"checked"`
}

type driverStatus struct {
	Name  string `json:"name"`
	Kind  string `json:"kind"`
	Level string `json:"level"`
	Model string `json:"model,omitempty"`
}

func (a *app) statusCommand() *cobra.Command {
	var check bool
	c := &cobra.Command{
		Use: "status", Short: "Show the vault, its keys, protectors and devices", Args: cobra.NoArgs,
		Long:    "status opens the vault and describes it. It exits with 7 if the time of day is in doubt.",
		Example: "  strongroom status\n  strongroom status --check",
		RunE: a.vaultCommand(func(ctx context.Context, s *session.Session, _ []string) error {
			st, err := describeVault(ctx, s)
			if err != nil {
				return err
			}
			if check {
				if err := s.Client().Check(ctx); err != nil {
					return err
				}
				st.Checked = true
			}
			return a.printStatus(st)
		}),
	}
	c.Flags().BoolVar(&check, "check", false, "verify all stored data, which takes time")
	return c
}

func describeVault(ctx context.Context, s *session.Session) (status, error) {
	v := s.Vault
	st := status{
		Directory: s.Directory, VaultID: v.ID(), LogKey: v.LogKey(), Edition: v.Edition().String(), Suite: v.EditionReport().Suite,
		Keys: make(map[vault.KeyState]int), LastScrub: v.Health().Scrub.Last, Doubt: v.Health().TimeInDoubt,
	}
	for k, err := range s.Client().ListKeys(ctx, vault.KeyFilter{}) {
		if err != nil {
			return st, err
		}
		st.Keys[k.State]++
	}
	var err error
	if st.Protectors, err = s.Client().ListProtectors(ctx); err != nil {
		return st, err
	}
	for _, d := range v.Capabilities() {
		st.Drivers = append(st.Drivers, driverStatus{d.Name, d.Kind, string(d.Level), d.Device.Model})
	}
	return st, nil
}

func (a *app) printStatus(st status) error {
	checked := ""
	if st.Checked {
		checked = "everything verified"
	}
	err := a.one(st, "directory", st.Directory, "vault id", st.VaultID, "log key", st.LogKey, "edition", st.Edition+" ("+st.Suite+")",
		"last scrub", st.LastScrub, "check", checked)
	if err == nil && a.format == formatTable {
		err = a.printStatusTables(st)
	}
	if err == nil && st.Doubt {
		a.notice("the time of day is ahead of what the vault expects: set the clock right, or confirm it with \"doctor --confirm-time\"")
		err = errAttention
	}
	return err
}

func (a *app) printStatusTables(st status) error {
	p := a.columns("\nKEYS", "NUMBER")
	for _, state := range slices.Sorted(maps.Keys(st.Keys)) {
		p.row(nil, state, st.Keys[state])
	}
	err := p.flush()
	p = a.columns("\nPROTECTOR", "KIND", "THIS MACHINE ONLY", "CREATED")
	for _, r := range st.Protectors {
		p.row(nil, r.ID, r.Kind, r.MachineBound, r.Created)
	}
	err = errors.Join(err, p.flush())
	p = a.columns("\nDRIVER", "KIND", "LEVEL", "MODEL")
	for _, d := range st.Drivers {
		p.row(nil, d.Name, d.Kind, d.Level, d.Model)
	}
	return errors.Join(err, p.flush())
}

// A version is the JSON form of the command version.
type version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	System  string `json:"system"`
	Commit  string `json:"commit,omitempty"`
	PKCS11  bool   `json:"pkcs11"`
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version of this program", Args: cobra.NoArgs,
		Example: "  strongroom version -o json",
		RunE: func(*cobra.Command, []string) error {
			v := version{Version: "(devel)", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
			if info, ok := debug.ReadBuildInfo(); ok {
				v.Version = info.Main.Version
				for _, s := range info.Settings {
					switch s.Key {
					case "vcs.revision":
						v.Commit = s.Value
					case "CGO_ENABLED":
						v.PKCS11 = s.Value == "1" && runtime.GOOS != "windows"
					}
				}
			}
			return a.one(v, "strongroom", v.Version, "commit", v.Commit, "go", v.Go, "system", v.System, "PKCS #11", v.PKCS11)
		},
	}
}
