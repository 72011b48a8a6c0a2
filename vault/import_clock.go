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

// clockPath keeps the latest time that the vault has seen, so that a clock that is
// set back makes no token and no material valid again.
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

// openClock starts the clock of deadlines at the latest time that is on record:
// the stored mark, or the last audit record's.
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

// markClock stores the latest time that was seen.
func (v *Vault) markClock(tx *keystore.Tx) {
	m := v.deadline.Mark()
	tx.Put(clockPath, encode(clockMark{m.Time, hex.EncodeToString(m.Boot.ID[:]), m.Boot.Since}))
}

// due reports whether the CMK's material has expired at now.
func (k Key) due(now time.Time) bool { return !k.ValidTo.IsZero() && !now.Before(k.ValidTo) }

// expireView shows a CMK whose material has expired as PendingImport, from that
// instant on: it does not wait for the material to be destroyed.
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

// withoutMaterial is the state of a CMK whose imported material is gone. Deletion
// goes its way.
func (s KeyState) withoutMaterial() KeyState {
	if s == Enabled || s == Disabled || s == Archived {
		return PendingImport
	}
	return s
}
