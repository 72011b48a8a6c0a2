package vault

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/clock"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/record"
)

// ConfirmTime confirms the time of day after it was found more than a day ahead of the time
// that the vault expected, because the machine was off for longer or because its clock was
// set. Until then, or until the time of day has stayed ahead for a day, the vault destroys
// no expired material and no CMK, although it refuses to use expired material; and if the
// clock is set right, that material can be used again. Vault.Health reports the doubt. Only
// SetTimeBack sets a confirmed time back. Errors: ErrDenied.
func (c Client) ConfirmTime(ctx context.Context) error {
	return c.do(ctx, request{op: OpConfirmTime, onVault: true}, func(ctx context.Context, d *decision) error {
		h := c.vault.deadline
		m := clock.Mark{Time: h.Now(), Boot: clock.BootOf(h)}
		if err := d.commitTime(ctx, m, nil); err != nil {
			return err
		}
		h.Confirm(m)
		return nil
	})
}

// commitTime records and stores m as the vault's time. change, if set, is part of the commit.
func (d *decision) commitTime(ctx context.Context, m clock.Mark, change func(*keystore.Tx) error) error {
	v := d.client.vault
	d.rec.Detail = map[string]string{"time": m.Time.Format(time.RFC3339), "expected": v.confirmedNow().Format(time.RFC3339)}
	return d.commit(ctx, commitPlan{check: unchanged, change: func(tx *keystore.Tx) error {
		putClock(tx, m)
		if change == nil {
			return nil
		}
		return change(tx)
	}})
}

const (
	// keepLeap is how far the time leaps at least before keepTime stores it.
	keepLeap = time.Hour
	// timeAgreement is how far the time of day may differ from what the caller of SetTimeBack
	// knows.
	timeAgreement = time.Hour
	// settingTime is how long SetTimeBack may take.
	settingTime = time.Minute
)

// SetTimeBack sets the vault's time back to the time of day, after the vault was created or
// used for more than a day with a clock that was ahead, or after that time was confirmed.
// now is the time as the caller knows it. The time of day must agree with it to the hour, so
// that a program cannot pass on a clock that is wrong.
//
// SetTimeBack makes no later event happen earlier: ValidTo, DeletionDate and other dates
// stay, and so become later for the vault. It undoes no earlier event: material that had
// expired does not become valid again, even if it could not be destroyed yet, and its
// ValidTo is the new time. Grants that had ended are removed, and those that end within a
// minute, and so are all approvals, because their time would begin again. All import tokens
// become invalid.
//
// Errors: ErrInvalid if the time of day differs from now by more than an hour, or is not
// before the vault's time; ErrUnavailable if material expires within a minute; ErrDenied.
func (c Client) SetTimeBack(ctx context.Context, now time.Time) error {
	q := request{op: OpSetTimeBack, onVault: true}
	return c.do(ctx, q, func(ctx context.Context, d *decision) error {
		v := c.vault
		v.settingTime.Lock()
		defer v.settingTime.Unlock()
		from, to := v.deadline.Mark(), clock.Mark{Time: v.clock.Now(), Boot: clock.BootOf(v.clock)}
		if err := v.prepareSetBack(ctx, from.Time, to.Time, now); err != nil {
			return d.fail(ctx, err)
		}
		err := d.commitTime(ctx, to, func(tx *keystore.Tx) error {
			if err := v.settingInTime(from.Time); err != nil {
				return err
			}
			// A grant that ends before the time is set back would otherwise begin again.
			v.removeEndedGrants(tx, from.Time.Add(settingTime))
			deleteApprovals(tx)
			return restoredBy(tx, to.Time)
		})
		if err != nil {
			return err
		}
		v.deadline.SetBack(to)
		v.shiftTasks(to.Time.Sub(from.Time))
		v.scheduleRotations(ctx)
		return nil
	})
}

// prepareSetBack checks the arguments of SetTimeBack, and prepares what must not change by it.
func (v *Vault) prepareSetBack(ctx context.Context, from, to, now time.Time) error {
	if to.Sub(now).Abs() > timeAgreement {
		return invalid("the time of day is %s, not %s; set the machine's clock first", to.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if !to.Before(from) {
		return invalid("the time of day, %s, is not before that of the vault, %s", to.Format(time.RFC3339), from.Format(time.RFC3339))
	}
	if err := v.keepExpired(ctx, from, to); err != nil {
		return err
	}
	return v.settingInTime(from)
}

// settingInTime returns an error if SetTimeBack, which began at the vault's time from, took
// settingTime or longer.
func (v *Vault) settingInTime(from time.Time) error {
	if v.confirmedNow().Sub(from) >= settingTime {
		return fmt.Errorf("%w: setting the time took too long; call SetTimeBack again", ErrUnavailable)
	}
	return nil
}

// keepExpired makes material that expired by from expired by to as well, and invalidates all
// import tokens. It returns ErrUnavailable if material expires soon after from.
func (v *Vault) keepExpired(ctx context.Context, from, to time.Time) error {
	const each = 256 // the number of CMKs of one commit
	for some := range slices.Chunk(v.store.Paths(imports), each) {
		err := v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
			for _, path := range some {
				if err := v.keepKeyExpired(tx, strings.TrimPrefix(path, imports), from, to); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keepKeyExpired is keepExpired for one CMK.
func (v *Vault) keepKeyExpired(tx *keystore.Tx, id string, from, to time.Time) error {
	state, err := getImport(tx, id)
	if err != nil {
		return err
	}
	if state.Newest != nil && !state.Newest.Gone {
		if err := v.revokeToken(tx, id, state.Newest); err != nil {
			return err
		}
		tx.Put(importPathOf(id), encode(state))
	}
	k, err := keyInTx(tx, id)
	switch {
	case err != nil:
		return err
	case k.ValidTo.IsZero() || !k.due(from.Add(settingTime)) || !k.ValidTo.After(to):
		return nil
	case !k.due(from):
		return fmt.Errorf("%w: the material of key %s expires within %v; call SetTimeBack again after that", ErrUnavailable, id, settingTime)
	}
	k.ValidTo = to
	tx.Put(keyPath(id), encode(k))
	return nil
}

// shiftTasks moves the times of all tasks by d. A task that is early by that does nothing
// but schedule itself for its date.
func (v *Vault) shiftTasks(d time.Duration) {
	v.tasks.Shift(d)
	v.setHealth(func(h *Health) {
		for _, next := range []*time.Time{&h.Backup.Next, &h.Scrub.Next} {
			if !next.IsZero() {
				*next = next.Add(d)
			}
		}
	})
}

// clockPath is the path of the record of the latest time that the vault has observed.
// Because of it, setting the clock back does not make a token or material valid again.
const clockPath = "clock"

// clockMark is a stored clock.Mark.
type clockMark struct {
	Time   time.Time     `json:"time"`
	BootID string        `json:"boot"`
	Uptime time.Duration `json:"uptime"`
}

func (m clockMark) decode() clock.Mark {
	out := clock.Mark{Time: m.Time, Boot: clock.Boot{Since: m.Uptime}}
	if id, err := hex.DecodeString(m.BootID); err == nil {
		copy(out.Boot.ID[:], id)
	}
	return out
}

// precedes reports whether the time of the last audit record is later than the mark, advanced
// by the time since boot, and not in doubt.
func (m clockMark) precedes(r audit.Record) bool {
	expected := m.Time
	if r.BootID == m.BootID {
		expected = expected.Add(max(0, r.Uptime-m.Uptime))
	}
	return r.Time.After(expected) && (m.Time.IsZero() || !r.Time.After(expected.Add(clock.Leap)))
}

// openClock starts the expiry clock at the latest recorded time: that of the stored mark,
// or of the last audit record.
func (v *Vault) openClock(ctx context.Context) error {
	last, err := record.ReadIf[clockMark](storeReader{v.store, ctx}, clockPath)
	if err != nil {
		return err
	}
	if size := v.store.LogState().Size; size > 0 {
		leaf, err := v.store.LogRecord(ctx, size-1)
		if err != nil {
			return err
		}
		if rec, err := audit.ParseRecord(leaf); err == nil && last.precedes(rec) {
			last = clockMark{rec.Time, rec.BootID, rec.Uptime}
		}
	}
	v.deadline = clock.NewHighWater(v.clock, last.decode())
	v.keptTime = v.deadline.Mark()
	return nil
}

// confirmedNow returns the time that counts for whatever the vault does by itself: tasks,
// destructions, schedules and counts. It is the latest time without doubt, advanced by the
// time since boot. A wrong time of day neither hastens nor delays it, except by up to
// clock.Leap.
func (v *Vault) confirmedNow() time.Time { return v.deadline.Mark().Time }

// recordClock stores the latest observed time.
func (v *Vault) recordClock(tx *keystore.Tx) { putClock(tx, v.deadline.Mark()) }

// keepTime stores the time after it has leapt, so that it does not go back after a crash.
// Small steps are in the records of the audit log.
func (v *Vault) keepTime(ctx context.Context) {
	m := v.deadline.Mark()
	if v.deadline.Leapt(v.keptTime) < keepLeap {
		return
	}
	err := v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		v.recordClock(tx)
		return nil
	})
	if err == nil {
		v.keptTime = m
	}
}

func putClock(tx *keystore.Tx, m clock.Mark) {
	tx.Put(clockPath, encode(clockMark{m.Time, hex.EncodeToString(m.Boot.ID[:]), m.Boot.Since}))
}
