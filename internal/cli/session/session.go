// Package session opens a vault for one command of the command line: its devices, its
// protectors, and the vault itself.
package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/cli/terminal"
	"strongroom.example/internal/deviceuri"
	"strongroom.example/keystore"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// Options are what a command adds to the settings.
type Options struct {
	// Skip names devices that are not opened. Their keys cannot be used.
	Skip []string
	// Wait is how long Open waits for a vault that another process has open.
	Wait time.Duration
	// IgnorePolicies lets the owner do everything, instead of the policies that the vault
	// stores.
	IgnorePolicies bool
	// Authorizer decides as long as the vault stores no policies. nil means that the owner may
	// do everything.
	Authorizer vault.Authorizer
	// Scrub verifies the store in the background, as long as the vault is open.
	Scrub bool
	// Notice receives notices for a person.
	Notice io.Writer
}

// A Session holds the devices and protectors of one command, and its vault. It is not safe
// for concurrent use, except for Release.
type Session struct {
	Settings
	// Vault is nil until Open, Create or Restore.
	Vault *vault.Vault

	options    Options
	devices    map[string]driver.Driver
	protectors []driver.Protector // that are wiped at Close
	unlock     []driver.Protector // that open the vault, once they are known
	released   bool
}

// New opens the devices of the settings. The caller calls Close, after an error too.
func New(ctx context.Context, s Settings, o Options) (*Session, error) {
	if o.Notice == nil {
		o.Notice = io.Discard
	}
	n := &Session{Settings: s, options: o, devices: make(map[string]driver.Driver)}
	for _, name := range slices.Sorted(maps.Keys(s.Devices)) {
		if slices.Contains(o.Skip, name) {
			fmt.Fprintf(o.Notice, "strongroom: without device %s: its keys cannot be used\n", name)
			if n.Driver == name {
				n.Driver = ""
			}
			continue
		}
		if err := n.openDevice(ctx, name, s.Devices[name]); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (s *Session) openDevice(ctx context.Context, name, uri string) error {
	d, err := deviceuri.Open(ctx, uri, deviceuri.Options{PIN: func(ctx context.Context) ([]byte, error) {
		return terminal.Secret(ctx, "PIN of device "+name)
	}})
	var device *driver.Error
	if err != nil && !errors.As(err, &device) && ctx.Err() == nil {
		return fmt.Errorf("%w: device %s: %w; a URI is soft:, tpm:, tpm:?device=PATH or pkcs11:token=LABEL?module-path=PATH&pin-source=file:PATH", ErrSettings, name, err)
	}
	if err != nil {
		return fmt.Errorf("device %s: %w (--skip-device %s opens the vault without it)", name, err, name)
	}
	s.devices[name] = d
	return nil
}

// Device returns an open device, or nil.
func (s *Session) Device(name string) driver.Driver { return s.devices[name] }

// Open opens the vault with the protectors of the settings. If there are none, it asks for
// the passphrase or the recovery code of the vault.
func (s *Session) Open(ctx context.Context) error {
	cfg, err := s.config(s.devices, true)
	if err != nil {
		return err
	}
	cfg.Authorizer, cfg.Policies = s.options.Authorizer, policy.Cedar{}
	var opened atomic.Bool
	if s.options.IgnorePolicies {
		owner := ownerOnly(s.Principal())
		cfg.Authorizer, cfg.Policies = owner, ignoring{owner, &opened}
	}
	if s.options.Scrub {
		cfg.Scrub = vault.ScrubSchedule{}
	}
	protectors, err := s.unlockers(ctx)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(s.options.Wait)
	for {
		s.Vault, err = vault.Open(ctx, s.Directory, cfg, protectors...)
		if !errors.Is(err, vault.ErrInUse) {
			s.released = false
			opened.Store(true)
			return err
		}
		if left := time.Until(deadline); left <= 0 || !pause(ctx, min(left, 25*time.Millisecond)) {
			return inUse(s.Directory, err)
		}
	}
}

// pause waits, and reports whether ctx is not done.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Create makes the vault with the given protectors.
func (s *Session) Create(ctx context.Context, protectors []driver.Protector) error {
	cfg, err := s.config(s.devices, false)
	if err == nil {
		s.Vault, err = vault.Create(ctx, s.Directory, cfg, protectors...)
	}
	return err
}

// Restore makes the vault from backups; see vault.Restore. The policies of the backup are in
// force, also with Options.IgnorePolicies, because they may demand approvals of RestoreVault.
func (s *Session) Restore(ctx context.Context, from []io.Reader, unlock driver.Protector, protectors []driver.Protector) error {
	cfg, err := s.config(s.devices, false)
	if err == nil {
		cfg.VaultID, cfg.Policies = s.VaultID, policy.Cedar{}
		s.Vault, err = vault.Restore(ctx, s.Directory, cfg, from, unlock, protectors...)
	}
	return err
}

// Repair repairs the closed vault; see vault.Repair.
func (s *Session) Repair(ctx context.Context) (vault.RepairReport, error) {
	cfg, err := s.config(s.devices, true)
	if err != nil {
		return vault.RepairReport{}, err
	}
	protectors, err := s.unlockers(ctx)
	if err != nil {
		return vault.RepairReport{}, err
	}
	return vault.Repair(ctx, s.Directory, cfg, protectors...)
}

// Client returns the owner's access to the open vault.
func (s *Session) Client() vault.Client {
	return s.Vault.As(s.Principal())
}

// Principal returns the principal of all operations.
func (s Settings) Principal() vault.Principal {
	if s.Owner == "" {
		return vault.DefaultOwner
	}
	return vault.Principal(s.Owner)
}

// Prove calls use with each protector that Open used, until one of them opens the vault.
func (s *Session) Prove(ctx context.Context, use func(driver.Protector) error) error {
	protectors, err := s.unlockers(ctx)
	for _, p := range protectors {
		if err = use(p); !errors.Is(err, vault.ErrUnlock) {
			return err
		}
	}
	return err
}

// Release closes the vault before the command ends, so that other processes can open it.
// It may be called twice. The vault can be opened again.
func (s *Session) Release() error {
	if s.Vault == nil || s.released {
		return nil
	}
	s.released = true
	return s.Vault.Close()
}

// Close closes the vault and the devices, and wipes the protectors.
func (s *Session) Close() error {
	err := s.Release()
	for _, p := range s.protectors {
		if w, ok := p.(interface{ Wipe() }); ok {
			w.Wipe()
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.devices)) {
		err = errors.Join(err, s.devices[name].Close())
	}
	return err
}

// unlockers returns the protectors that the settings name.
func (s *Session) unlockers(ctx context.Context) ([]driver.Protector, error) {
	if s.unlock != nil {
		return s.unlock, nil
	}
	specs := s.Unlock
	if len(specs) == 0 {
		specs = s.kindsToAsk()
	}
	if len(specs) == 0 {
		return nil, fmt.Errorf("%w: nothing is named that opens the vault: use --unlock, or \"unlock\" in the configuration file", ErrSettings)
	}
	var protectors []driver.Protector
	for _, spec := range specs {
		p, err := s.Protector(ctx, spec)
		if err != nil {
			return nil, err
		}
		protectors = append(protectors, p)
	}
	s.unlock = protectors
	return protectors, nil
}

// kindsToAsk returns the protector that the vault has and a person can type.
func (s *Session) kindsToAsk() []string {
	root, err := keystore.ReadRoot(s.Directory)
	if err != nil || !terminal.Present() {
		return nil
	}
	for _, kind := range []string{kindPassphrase, kindRecoveryCode} {
		if slices.ContainsFunc(root.Protectors, func(p keystore.Protector) bool { return p.Kind == kind }) {
			return []string{kind}
		}
	}
	return nil
}

// Exists reports whether the directory holds a root file.
func (s Settings) Exists() bool {
	_, err := keystore.ReadRoot(s.Directory)
	return !errors.Is(err, keystore.ErrNoStore) && !errors.Is(err, os.ErrNotExist)
}

// SaveFor writes the settings of the open vault to a new configuration file: with its pins,
// absolute paths, and the protectors that open it unattended. specs are those that it was
// made with.
func (s *Session) SaveFor(path string, specs []string) error {
	saved := s.Settings
	dir, err := filepath.Abs(s.Directory)
	if err != nil {
		return err
	}
	saved.Directory, saved.Edition = dir, s.Vault.Edition().String()
	saved.VaultID, saved.LogKey = s.Vault.ID(), s.Vault.LogKey()
	saved.Unlock = nil
	for _, spec := range specs {
		unlock, err := unattended(spec)
		if err != nil {
			return err
		}
		if unlock != "" {
			saved.Unlock = append(saved.Unlock, unlock)
		}
	}
	return saved.Save(path)
}
