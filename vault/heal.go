package vault

import (
	"context"
	"errors"
	"slices"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/keystore"
)

// heal protects the root with the device of p, which was cleared or replaced, after another
// protector opened the vault. The new entry replaces the entry of the same kind. If there
// are several of that kind, perhaps of other machines, it is added to them. If the device
// fails, the disk is nearly full, or the vault has the maximum number of protectors, heal
// changes nothing and records the failure.
func (v *Vault) heal(ctx context.Context, p driver.Protector, root []byte) error {
	rec := v.record(OpHealProtector, v.cfg.Owner)
	rec.Detail = map[string]string{"kind": p.Kind()}
	fresh, err := protectAll(ctx, v.binding(), root, []driver.Protector{p})
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return v.unhealed(ctx, rec, err)
	}
	rec.Detail["protector"] = fresh[0].ID
	entries := slices.Clone(v.store.Root().Protectors)
	var same []int
	for i, e := range entries {
		if e.Kind == p.Kind() {
			same = append(same, i)
		}
	}
	if len(same) == 1 {
		rec.Detail["replaced"] = entries[same[0]].ID
		entries[same[0]] = fresh[0]
	} else {
		entries = append(entries, fresh[0])
	}
	err = v.putProtectors(ctx, entries, func(tx *keystore.Tx) error { v.note(tx, rec); return nil })
	if errors.Is(err, keystore.ErrTooLarge) || errors.Is(err, keystore.ErrFull) && v.store.Failed() == nil {
		return v.unhealed(ctx, rec, err)
	}
	return err
}

// unhealed records that the protector was not replaced.
func (v *Vault) unhealed(ctx context.Context, rec audit.Record, cause error) error {
	rec.Result, rec.Error = audit.Failed, errorName(translate(cause))
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error { v.note(tx, rec); return nil })
}
