package vault

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"strongroom.example/audit"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/datakeyrecords"
	"strongroom.example/vault/internal/record"
	"strongroom.example/vault/internal/tasks"
)

// runBackground runs until ctx ends. It wakes once a second, because timers do not count the
// time in suspend, and whenever a test moved the clock.
func (v *Vault) runBackground(ctx context.Context) {
	defer close(v.done)
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			v.wake(ctx)
		case done := <-v.moved:
			v.wake(ctx)
			v.tasks.RunAllDue(ctx)
			close(done)
		case <-ctx.Done():
			v.tasks.Wait()
			return
		}
	}
}

// wake writes counted failures, moves idle data keys to enclaves, completes an interrupted
// change of epoch and starts the due tasks. It waits for none of them.
func (v *Vault) wake(ctx context.Context) {
	v.keepTime(ctx)
	v.writeCounts(v.failures.Due(v.confirmedNow()))
	_ = v.uses.SaveDue(ctx)
	v.dataKeys.Sweep()
	v.finishEpoch(ctx)
	v.trimAgain(ctx)
	v.tasks.RunDue(ctx)
}

// clockMoved runs the tasks that are due after a test moved the clock, and waits for them.
func (v *Vault) clockMoved() {
	done := make(chan struct{})
	select {
	case v.moved <- done:
	case <-v.done:
		return
	}
	select {
	case <-done:
	case <-v.done:
	}
}

// startTasks schedules every deadline and runs the due tasks. A failed task is retried
// later and does not keep the vault from opening, because expired material cannot be used
// even while it still exists.
func (v *Vault) startTasks(ctx context.Context) {
	for _, path := range v.store.Paths(imports) {
		v.scheduleExpiry(ctx, strings.TrimPrefix(path, imports))
	}
	v.scheduleDeletions(ctx)
	v.scheduleDataKeyDeletions(ctx)
	v.scheduleRotations(ctx)
	v.tasks.RunDue(ctx)
	v.tasks.Wait()
}

// epochTask is the name of finishEpoch among the tasks. No driver has this name.
const epochTask = tasks.Own + "epoch"

// finishEpoch completes a change of epoch, or of the root, that a shortage interrupted. It
// does not wait, and is called again after an error.
func (v *Vault) finishEpoch(ctx context.Context) {
	v.tasks.GoOnce(epochTask, func() { _ = v.store.FinishEpoch(ctx) })
}

// runTask runs the task of one path. A task that waits for another device is postponed, and
// is no failure of the driver that would delay its other tasks.
func (v *Vault) runTask(ctx context.Context, path string) error {
	err := v.runTaskOf(ctx, path)
	if errors.Is(err, ErrWrongDevice) && ctx.Err() == nil {
		v.tasks.Postpone(path)
		return nil
	}
	return err
}

func (v *Vault) runTaskOf(ctx context.Context, path string) error {
	switch path {
	case backupTask:
		v.scheduledBackup(ctx)
		return nil
	case scrubTask:
		v.scrub(ctx)
		return nil
	}
	if key, ok := strings.CutPrefix(path, imports); ok {
		return v.expire(ctx, key)
	}
	if v.store.Version(path) == 0 {
		return nil
	}
	if key, ok := strings.CutPrefix(path, deletions); ok {
		return v.destroyKey(ctx, key)
	}
	if dataKey, ok := strings.CutPrefix(path, datakeyrecords.Deletions); ok {
		return v.destroyDataKey(ctx, dataKey)
	}
	if key, ok := strings.CutPrefix(path, rotations); ok {
		return v.rotateDue(ctx, key)
	}
	in, err := v.intentAt(ctx, path)
	if err != nil {
		return err
	}
	return v.recoverIntent(ctx, in)
}

// driverOf returns the name of the driver of a path's task, or "" if it is not known.
func (v *Vault) driverOf(ctx context.Context, path string) string {
	for _, prefix := range []string{imports, deletions, rotations} {
		if key, ok := strings.CutPrefix(path, prefix); ok {
			t, err := v.records.key(ctx, key)
			if err != nil {
				return ""
			}
			return t.Driver
		}
	}
	if strings.HasPrefix(path, datakeyrecords.Deletions) {
		return "" // it needs no device
	}
	in, err := v.intentAt(ctx, path)
	if err != nil {
		return ""
	}
	return in.Driver
}

// intentAt reads a stored intent.
func (v *Vault) intentAt(ctx context.Context, path string) (intent, error) {
	return record.Read[intent](storeReader{v.store, ctx}, path)
}

// Health is the state of a vault's background work, for operators.
type Health struct {
	Backup BackupHealth
	Scrub  ScrubHealth
	// TimeInDoubt reports that the time of day is ahead of the time that the vault expected;
	// see Client.ConfirmTime.
	TimeInDoubt bool
}

// BackupHealth is the state of scheduled backups; see Config.Backup.
type BackupHealth struct {
	// Last is the time of the newest good backup in the directory, and File its path. They
	// are empty if there is none, or none is scheduled.
	Last time.Time
	File string
	// Next is the time of the next attempt; zero if none is scheduled.
	Next time.Time
	// Err is the error of the last attempt in this process, nil if it succeeded.
	Err error
}

// ScrubHealth is the state of the scrub; see Config.Scrub.
type ScrubHealth struct {
	// Last is the time at which a scrub ended last, in this process or an earlier one, and
	// Next that of the next one. Next is zero if the scrub is off.
	Last, Next time.Time
	// Running reports whether a scrub is running.
	Running bool
	// Err is the finding of the last scrub in this process, nil if it found nothing wrong.
	Err error
}

// Health returns the state of the vault's background work. It needs no permission, is not
// recorded, and works after Close.
func (v *Vault) Health() Health {
	v.healthMu.Lock()
	defer v.healthMu.Unlock()
	h := v.health
	h.TimeInDoubt = v.deadline.InDoubt()
	return h
}

// setHealth changes the state that Health returns.
func (v *Vault) setHealth(change func(*Health)) {
	v.healthMu.Lock()
	defer v.healthMu.Unlock()
	change(&v.health)
}

// A ScrubSchedule says how often the vault verifies all that it has stored, in the
// background and beside other operations, and how fast.
type ScrubSchedule struct {
	// Every is the time between two scrubs. 0 means a week, less than 0 means never.
	Every time.Duration
	// BytesPerSecond bounds how fast a scrub reads. 0 means 1 MiB per second.
	BytesPerSecond int
}

const (
	scrubEvery = 7 * 24 * time.Hour
	scrubRate  = 1 << 20
	// scrubFirst is how long after Open the first scrub of a vault begins.
	scrubFirst = 10 * time.Minute
	scrubTask  = tasks.Own + "scrub"
	scrubPath  = "scrub"
)

func (s ScrubSchedule) withDefaults() (ScrubSchedule, error) {
	if s.BytesPerSecond < 0 {
		return s, invalid("Config.Scrub.BytesPerSecond is %d", s.BytesPerSecond)
	}
	if s.Every == 0 {
		s.Every = scrubEvery
	}
	if s.BytesPerSecond == 0 {
		s.BytesPerSecond = scrubRate
	}
	return s, nil
}

// storedScrub is the record of the last scrub.
type storedScrub struct {
	Ended   time.Time `json:"ended"`
	Finding string    `json:"finding,omitempty"`
}

// openScrub schedules the first scrub.
func (v *Vault) openScrub(ctx context.Context) error {
	if v.cfg.Scrub.Every < 0 {
		return nil
	}
	last, err := v.lastScrub(ctx)
	next := v.confirmedNow().Add(scrubFirst)
	if due := last.Ended.Add(v.cfg.Scrub.Every); err == nil && !last.Ended.IsZero() && due.After(next) && due.Sub(next) < v.cfg.Scrub.Every {
		next = due
	}
	v.setHealth(func(h *Health) { h.Scrub.Last, h.Scrub.Next = last.Ended, next })
	v.tasks.Schedule(scrubTask, next)
	return err
}

func (v *Vault) lastScrub(ctx context.Context) (storedScrub, error) {
	return record.ReadIf[storedScrub](storeReader{v.store, ctx}, scrubPath)
}

// scrub verifies the store, stores the result and schedules the next scrub.
func (v *Vault) scrub(ctx context.Context) {
	v.setHealth(func(h *Health) { h.Scrub.Running = true })
	err := v.store.Scrub(ctx, v.pace)
	if err == nil {
		err = v.checkCut(ctx)
	}
	now := v.confirmedNow()
	next := now.Add(v.cfg.Scrub.Every)
	if err != nil && !errors.Is(translate(err), ErrCorrupt) {
		next = now.Add(min(v.cfg.Scrub.Every, time.Hour)) // it could not be finished
	}
	if ctx.Err() == nil && v.keepScrub(ctx, now, err) != nil {
		next = now.Add(min(v.cfg.Scrub.Every, time.Hour))
	}
	v.setHealth(func(h *Health) {
		h.Scrub.Running, h.Scrub.Next = false, next
		if ctx.Err() == nil {
			h.Scrub.Last, h.Scrub.Err = now, wrap(OpScrub, "", err)
		}
	})
	v.tasks.Schedule(scrubTask, next)
}

// keepScrub stores the end of a scrub. It records a finding unless the last scrub had the
// same.
func (v *Vault) keepScrub(ctx context.Context, now time.Time, finding error) error {
	s := storedScrub{Ended: now}
	if finding != nil {
		s.Finding = cut(finding.Error(), 256)
	}
	return v.store.CommitInReserve(ctx, func(tx *keystore.Tx) error {
		last, err := v.lastScrub(ctx)
		if err != nil || s.Finding != "" && s.Finding != last.Finding {
			r := v.record(OpScrub, principalVault)
			r.Result, r.Error = audit.Failed, errorName(translate(cmp.Or(finding, err)))
			r.Detail = map[string]string{"finding": s.Finding}
			v.appendAudit(tx, r)
		}
		tx.Put(scrubPath, encode(s))
		return nil
	})
}

// pace waits as long as reading n bytes may take.
func (v *Vault) pace(ctx context.Context, n int) error {
	t := time.NewTimer(time.Duration(n) * time.Second / time.Duration(v.cfg.Scrub.BytesPerSecond))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
