package rootunlock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom.example/driver"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/fault"
	"strongroom.example/vault/internal/retry"
)

// Check rejects the protectors of a new root with which the vault would be lost together with its
// machine.
func Check(protectors []driver.Protector, acceptLoss bool) error {
	if len(protectors) == 0 {
		return fault.Invalid("a vault needs at least one protector, such as soft.Passphrase")
	}
	if len(protectors) > keystore.MaxProtectors {
		return fmt.Errorf("%w: %d protectors, the limit is %d", fault.ErrTooLarge, len(protectors), keystore.MaxProtectors)
	}
	if err := CheckNoNil(protectors); err != nil {
		return err
	}
	for _, p := range protectors {
		if !p.MachineBound() {
			return nil
		}
	}
	if acceptLoss {
		return nil
	}
	return fault.Invalid("every protector is bound to this machine; add a passphrase or recovery code, or set AcceptLossWithMachine")
}

// CheckNoNil rejects a nil protector.
func CheckNoNil(protectors []driver.Protector) error {
	if n := slices.Index(protectors, nil); n >= 0 {
		return fault.Invalid("protector %d of %d is nil", n+1, len(protectors))
	}
	return nil
}

// CheckWork rejects entries that demand more work of one of the protectors than Open
// permits for a root file.
func CheckWork(limit uint64, b driver.Binding, protectors []driver.Protector, entries []keystore.Protector) error {
	for _, p := range protectors {
		u := New(nil, 0, []driver.Protector{p})
		if work := u.Work(Wrapped{Binding: b, Entries: entries}); work > limit {
			return fmt.Errorf("%w: the protectors of kind %s demand %d units of work in Open; Config.UnlockWork is %d",
				fault.ErrTooLarge, p.Kind(), work, limit)
		}
	}
	return nil
}

// Describe formats the ids and kinds of protectors for the audit log, so that an
// auditor can find one that was added without permission.
func Describe(entries []keystore.Protector) string {
	var all []string
	for _, e := range entries {
		all = append(all, e.ID+" "+e.Kind)
	}
	return strings.Join(all, ", ")
}

// Protect wraps root with each protector. If one of them fails, it discards what the
// others made.
func Protect(ctx context.Context, b driver.Binding, root []byte, protectors []driver.Protector) ([]keystore.Protector, error) {
	var entries []keystore.Protector
	for _, p := range protectors {
		blob, err := p.Protect(ctx, b, root)
		if err != nil {
			return nil, Discard(ctx, fmt.Errorf("protector %s: %w", p.Kind(), err), b, protectors, entries)
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

// Discard destroys what devices keep for entries that are stored nowhere, because of err.
// The entries are those that Protect made by the first of the protectors, in order.
// Discard returns err, and the faults of the devices with it.
func Discard(ctx context.Context, err error, b driver.Binding, protectors []driver.Protector, entries []keystore.Protector) error {
	ctx, cancel := retry.Grace(ctx)
	defer cancel()
	for i, e := range entries {
		d, ok := protectors[i].(driver.Discarder)
		if !ok {
			continue
		}
		if left := d.Discard(ctx, b, e.Blob); left != nil {
			err = errors.Join(err, fmt.Errorf("protector %s: an unused key remains in its device: %w", e.Kind, left))
		}
	}
	return err
}
