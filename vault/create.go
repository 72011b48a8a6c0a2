package vault

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// Create makes a vault in dir, which is made if it is absent and must hold no vault, and
// opens it. Any one of the protectors will open it again. Errors: ErrExists, ErrInUse, ErrInvalid,
// ErrLockedMemory, ErrStorageFull, ErrUnavailable for a protector's device, ErrUnsupported for an edition that this process
// cannot have, ErrSelfTest where its cryptography computes wrong results.
func Create(ctx context.Context, dir string, cfg Config, protectors ...driver.Protector) (*Vault, error) {
	if ctx == nil {
		return nil, wrap(OpCreateVault, "", errNoContext)
	}
	v, err := create(ctx, dir, cfg, protectors)
	return v, wrap(OpCreateVault, "", err)
}

func create(ctx context.Context, dir string, cfg Config, protectors []driver.Protector) (*Vault, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := checkProtectors(cfg, protectors); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, invalid("the vault's directory cannot be made; choose one that may be written: %v", err)
	}
	if _, err := keystore.ReadRoot(dir); err == nil {
		return nil, fmt.Errorf("%w: %s holds a vault; open it, or choose another directory", ErrExists, dir)
	}
	v := newVault(cfg)
	defer func() { v.abandon(err) }()
	if v.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	root, err := v.arena.Alloc(rootSize)
	if err != nil {
		return nil, err
	}
	defer root.Free()
	rand.Read(root.Bytes())
	rand.Read(v.id[:])
	entries, err := protectAll(ctx, v.binding(), root.Bytes(), protectors)
	if err != nil {
		return nil, err
	}
	description := keystore.Root{VaultID: v.id, Edition: uint8(cfg.Edition), Created: v.clock.Now(), Protectors: entries}
	v.setOrigin()
	v.store, err = keystore.Create(ctx, v.storeConfig(dir, root.Bytes()), description, func(tx *keystore.Tx) error {
		made := v.record(OpCreateVault, cfg.Owner)
		made.Detail = editionDetail(cfg.Edition)
		made.Detail["protectors"] = listed(entries)
		v.note(tx, made)
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The vault is on the disk. Who gives up now gets it: Create would refuse the directory.
	if err = v.start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	return v, nil
}
