package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/clock"
	"strongroom.example/keystore"
)

// clockPath is the path of the record of the latest time that the vault has observed.
// Because of it, setting the clock back does not make a token or material valid again.
const clockPath = "clock"

// clockMark is a stored clock.Mark.
type clockMark struct {
	Time   time.Time     `json:"time"`
	BootID string        `json:"boot"`
	Uptime time.Duration `json:"uptime"`
}

func (m clockMark) mark() clock.Mark {
	out := clock.Mark{Time: m.Time, Boot: clock.Boot{Since: m.Uptime}}
	if id, err := hex.DecodeString(m.BootID); err == nil {
		copy(out.Boot.ID[:], id)
	}
	return out
}

// openClock starts the expiry clock at the latest recorded time: that of the stored mark,
// or of the last audit record.
func (v *Vault) openClock(ctx context.Context) error {
	var last clockMark
	r, err := v.store.Get(ctx, clockPath)
	switch {
	case err == nil:
		if last, err = decode[clockMark](clockPath, r.Value); err != nil {
			return err
		}
	case !errors.Is(err, keystore.ErrNotFound):
		return err
	}
	if size := v.store.LogState().Size; size > 0 {
		leaf, err := v.store.LogRecord(ctx, size-1)
		if err != nil {
			return err
		}
		if rec, err := audit.ParseRecord(leaf); err == nil && rec.Time.After(last.Time) {
			last = clockMark{rec.Time, rec.BootID, rec.Uptime}
		}
	}
	v.deadline = clock.NewHighWater(v.clock, last.mark())
	return nil
}

// markClock stores the latest observed time.
func (v *Vault) markClock(tx *keystore.Tx) {
	m := v.deadline.Mark()
	tx.Put(clockPath, encode(clockMark{m.Time, hex.EncodeToString(m.Boot.ID[:]), m.Boot.Since}))
}

// due reports whether the CMK's material has expired at now.
func (k Key) due(now time.Time) bool { return !k.ValidTo.IsZero() && !now.Before(k.ValidTo) }

// expireView sets the state of a CMK with expired material to PendingImport. It does so
// from the time of expiry on, even if the material is not destroyed yet.
func (v *Vault) expireView(t *target) {
	if t.ValidTo.IsZero() || !t.due(v.deadline.Now()) {
		return
	}
	t.expired = true
	t.State = t.State.withoutMaterial()
}

// expiredSince reports whether the CMK's material expired after it was loaded.
func (v *Vault) expiredSince(t *target) bool {
	return !t.ValidTo.IsZero() && !t.expired && t.due(v.deadline.Now())
}

// withoutMaterial returns the state that follows s when the imported material is removed.
// The states of deletion do not change.
func (s KeyState) withoutMaterial() KeyState {
	if s == Enabled || s == Disabled || s == Archived {
		return PendingImport
	}
	return s
}
