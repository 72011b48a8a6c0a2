package vault

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// Create makes a vault in dir and opens it. Any one of the protectors can open it later.
// Create makes dir if it does not exist; an existing dir must not hold a vault. A relative
// dir is resolved once, against the working directory at the time of the call. The
// directory must be used for the vault only: Create sets its mode to 0700, and rejects a
// directory that belongs to another user or to which others may write. A failed Create
// leaves nothing behind and can be repeated.
//
// Errors:
//
//   - ErrExists, ErrInUse: the directory holds a vault, or is in use.
//   - ErrInvalid: an argument is wrong.
//   - ErrLockedMemory, ErrStorageFull: a resource is missing.
//   - ErrUnavailable: a protector's device or the directory cannot be used.
//   - ErrUnsupported: this process cannot use the edition.
//   - ErrSelfTest: this process's cryptography computes wrong results.
func Create(ctx context.Context, dir string, cfg Config, protectors ...driver.Protector) (*Vault, error) {
	if ctx == nil {
		return nil, wrap(OpCreateVault, "", errNoContext)
	}
	v, err := create(ctx, dir, cfg, slices.Clone(protectors))
	return v, wrap(OpCreateVault, "", err)
}

func create(ctx context.Context, dir string, cfg Config, protectors []driver.Protector) (_ *Vault, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return nil, err
	}
	if cfg.VaultID != "" || cfg.LogKey != "" {
		return nil, invalid("Config.VaultID and Config.LogKey pin a vault that is there; Create makes another one")
	}
	if err := checkProtectors(cfg, protectors); err != nil {
		return nil, err
	}
	if dir, err = absolute(dir); err != nil {
		return nil, err
	}
	v := newVault(cfg)
	defer func() { v.abandon(err, (*keystore.DirLock).Discard) }()
	rand.Read(v.id[:])
	err = v.makeStore(ctx, dir, protectors, func(c keystore.Config, root keystore.Root) (*keystore.Store, error) {
		return keystore.Create(ctx, c, root, func(tx *keystore.Tx) error {
			made := v.record(OpCreateVault, cfg.Owner)
			made.Detail = editionDetail(cfg.Edition)
			made.Detail["protectors"] = listed(root.Protectors)
			v.note(tx, made)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// makeStore makes the vault's store in dir by calling construct, under a new root that the
// protectors wrap, and starts the vault.
func (v *Vault) makeStore(ctx context.Context, dir string, protectors []driver.Protector, construct func(keystore.Config, keystore.Root) (*keystore.Store, error)) (err error) {
	if _, err := keystore.ReadRoot(dir); err == nil {
		return fmt.Errorf("%w: %s holds a vault; open it, or choose another directory", ErrExists, dir)
	}
	if v.lock, err = keystore.MakeAndLock(dir); err != nil {
		return unreadable(dir, err)
	}
	root, err := v.arena.Alloc(rootSize)
	if err != nil {
		return err
	}
	defer root.Free()
	rand.Read(root.Bytes())
	entries, err := protectAll(ctx, v.binding(), root.Bytes(), protectors)
	if err != nil {
		return err
	}
	if err := checkWork(v.cfg, v.binding(), protectors, entries); err != nil {
		return err
	}
	v.setOrigin()
	description := keystore.Root{VaultID: v.id, Edition: uint8(v.cfg.Edition), Created: v.clock.Now(), Protectors: entries}
	cfg := v.storeConfig(root.Bytes())
	// start acquires what a vault needs besides its store, above all locked memory. It runs
	// before the store is complete, because Create rejects the directory of a complete one.
	cfg.Ready = func(s *keystore.Store) error {
		v.store = s
		return v.start(ctx)
	}
	_, err = construct(cfg, description)
	return err
}

// absolute returns dir as an absolute path, so that a later change of the working directory
// has no effect on the vault.
func absolute(dir string) (string, error) {
	if dir == "" || strings.ContainsRune(dir, 0) {
		return "", invalid("the vault's directory has no usable name: %q", dir)
	}
	return filepath.Abs(dir)
}
