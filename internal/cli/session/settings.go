package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"

	"strongroom.example/driver"
	"strongroom.example/keystore"
	"strongroom.example/vault"
)

// ErrSettings reports settings that cannot be used. The text says which, and how to correct
// them.
var ErrSettings = errors.New("settings")

// Settings say which vault a command opens, and how. They are the contents of the
// configuration file, in JSON. Flags replace single fields.
type Settings struct {
	// Directory is the vault's directory.
	Directory string `json:"directory,omitempty"`
	// Edition is STANDARD, FIPS or SM. Empty means STANDARD for a new vault, and for an
	// existing one the edition that its root file names.
	Edition string `json:"edition,omitempty"`
	// VaultID and LogKey pin the vault; see vault.Config.
	VaultID string `json:"vault_id,omitempty"`
	LogKey  string `json:"log_key,omitempty"`
	// Owner is the principal of all operations. Empty means vault.DefaultOwner.
	Owner string `json:"owner,omitempty"`
	// Devices are the URIs of devices for keys, by name.
	Devices map[string]string `json:"devices,omitempty"`
	// Driver is the name of the device for new keys. Empty means the software engine.
	Driver string `json:"driver,omitempty"`
	// MinLevel is the lowest protection level of new material: SOFTWARE, TPM or HSM.
	MinLevel string `json:"min_level,omitempty"`
	// AcceptLossWithMachine permits a vault whose every protector is bound to this machine.
	AcceptLossWithMachine bool `json:"accept_loss_with_machine,omitempty"`
	// Unlock lists the protectors that open the vault, in the order in which they are tried.
	// See Session.Protector.
	Unlock []string `json:"unlock,omitempty"`
}

// DefaultPaths returns where the configuration file is looked for: the first that exists is
// used.
func DefaultPaths() []string {
	if path := os.Getenv("STRONGROOM_CONFIG"); path != "" {
		return []string{path}
	}
	var paths []string
	if dir, err := os.UserConfigDir(); err == nil {
		paths = append(paths, filepath.Join(dir, "strongroom", "config.json"))
	}
	if runtime.GOOS != "windows" {
		paths = append(paths, "/etc/strongroom/config.json")
	}
	return paths
}

// Load reads the configuration file at path, or if path is empty the first of DefaultPaths
// that exists. It returns the zero Settings if none does. It refuses a file that other
// users may write, because they could make the command open another vault.
func Load(path string) (Settings, error) {
	if path != "" {
		return load(path)
	}
	for _, path := range DefaultPaths() {
		s, err := load(path)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return s, err
		}
	}
	return Settings{}, nil
}

func load(path string) (s Settings, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, fmt.Errorf("%w: the configuration file: %w", ErrSettings, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return s, fmt.Errorf("%w: the configuration file: %w", ErrSettings, err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return s, fmt.Errorf("%w: others may write the configuration file %s: chmod go-w it", ErrSettings, path)
	}
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("%w: the configuration file %s: %w", ErrSettings, path, err)
	}
	return s, nil
}

// Save writes the settings to a new file that only its owner can write. It makes the
// directory of the file if there is none.
func (s Settings) Save(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// config returns the vault's configuration. open is whether the vault exists.
func (s Settings) config(devices map[string]driver.Driver, open bool) (vault.Config, error) {
	if s.Directory == "" {
		return vault.Config{}, fmt.Errorf("%w: no vault is named: use --dir, or write the directory to the configuration file", ErrSettings)
	}
	edition, err := s.edition(open)
	if err != nil {
		return vault.Config{}, err
	}
	c := vault.Config{
		Edition: edition, Owner: vault.Principal(s.Owner), Drivers: maps.Clone(devices), Driver: s.Driver,
		MinLevel: driver.ProtectionLevel(s.MinLevel), AcceptLossWithMachine: s.AcceptLossWithMachine,
		// A scrub, once it began, would only delay the end of a command.
		Scrub: vault.ScrubSchedule{Every: -1},
	}
	if open {
		c.VaultID, c.LogKey = s.VaultID, s.LogKey
	}
	return c, nil
}

// edition returns the edition of the settings. The one in the root file is not
// authenticated yet, but vault.Open checks it.
func (s Settings) edition(open bool) (vault.Edition, error) {
	if s.Edition == "" && open {
		if root, err := keystore.ReadRoot(s.Directory); err == nil {
			return vault.Edition(root.Edition), nil
		}
	}
	if s.Edition == "" {
		return vault.Standard, nil
	}
	for _, e := range []vault.Edition{vault.Standard, vault.FIPS, vault.SM} {
		if e.String() == s.Edition {
			return e, nil
		}
	}
	return 0, fmt.Errorf("%w: the edition is none of STANDARD, FIPS, SM", ErrSettings)
}
