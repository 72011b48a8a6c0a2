package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// checkProtectors rejects protectors with which the vault would be lost together with its
// machine.
func checkProtectors(cfg Config, protectors []driver.Protector) error {
	if len(protectors) == 0 {
		return invalid("a vault needs at least one protector, such as soft.Passphrase")
	}
	if len(protectors) > keystore.MaxProtectors {
		return fmt.Errorf("%w: %d protectors, the limit is %d", ErrTooLarge, len(protectors), keystore.MaxProtectors)
	}
	if err := noneNil(protectors); err != nil {
		return err
	}
	for _, p := range protectors {
		if !p.MachineBound() {
			return nil
		}
	}
	if cfg.AcceptLossWithMachine {
		return nil
	}
	return invalid("every protector is bound to this machine; add a passphrase or recovery code, or set AcceptLossWithMachine")
}

// noneNil rejects a nil protector.
func noneNil(protectors []driver.Protector) error {
	if n := slices.Index(protectors, nil); n >= 0 {
		return invalid("protector %d of %d is nil", n+1, len(protectors))
	}
	return nil
}

// checkWork rejects entries that demand more work of one of the protectors than Open
// permits for a root file.
func checkWork(cfg Config, b driver.Binding, protectors []driver.Protector, entries []keystore.Protector) error {
	for _, p := range protectors {
		u := newUnlocker(nil, 0, []driver.Protector{p})
		if work := u.workIn(wrappedRoot{binding: b, entries: entries}); work > cfg.UnlockWork {
			return fmt.Errorf("%w: the protectors of kind %s would demand %d units of work of Open; Config.UnlockWork is %d",
				ErrTooLarge, p.Kind(), work, cfg.UnlockWork)
		}
	}
	return nil
}

// listed formats the ids and kinds of protectors for the audit log, so that an auditor can
// find one that was added without permission.
func listed(entries []keystore.Protector) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.ID+" "+e.Kind)
	}
	return strings.Join(all, ", ")
}

// protectAll wraps root with each protector.
func protectAll(ctx context.Context, b driver.Binding, root []byte, protectors []driver.Protector) ([]keystore.Protector, error) {
	var entries []keystore.Protector
	for _, p := range protectors {
		blob, err := p.Protect(ctx, b, root)
		if err != nil {
			return nil, fmt.Errorf("protector %s: %w", p.Kind(), err)
		}
		var id [8]byte
		rand.Read(id[:])
		entries = append(entries, keystore.Protector{
			ID: hex.EncodeToString(id[:]), Name: p.Kind(), Kind: p.Kind(), MachineBound: p.MachineBound(),
			Created: time.Now().UTC(), Blob: blob,
		})
	}
	return entries, nil
}
