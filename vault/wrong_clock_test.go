package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/vault/internal/backupfile"
)

// The times of a wrong clock: a board without a battery, before and after it failed.
var year1970, year2099 = time.Unix(0, 0).UTC(), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)

// reopenAt closes a vault, reboots the machine with the time of day at, and opens the vault.
func reopenAt(t *testing.T, v *Vault, dir string, fake *clock.Fake, at time.Time) *Vault {
	t.Helper()
	closeChecked(t, v)
	fake.Reboot()
	fake.Set(at)
	v, err := Open(t.Context(), dir, v.cfg, passphrase(t, "correct horse"))
	if err != nil {
		t.Fatalf("Open at %v: %v", at, err)
	}
	return v
}

// TestBackupsByAWrongClock: backups that are made while the clock is wrong do not remove
// those that were made before, except in their turn, and none is taken for the newest
// because of its date. A backup with a date in the future is left alone.
func TestBackupsByAWrongClock(t *testing.T) {
	t.Parallel()
	cfg, dir := testConfig(), t.TempDir()
	right := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	fake := clock.NewFake(right)
	cfg.Clock = fake
	cfg.Backup = BackupSchedule{Dir: dir, Every: time.Hour, Keep: 3, Protectors: []driver.Protector{passphrase(t, "backup")}}
	v, home := newTestVault(t, cfg)
	future := filepath.Join(dir, v.ID()+"-"+year2099.Format(backupfile.TimeFormat)+backupfile.Suffix)
	if err := os.WriteFile(future, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	poll.Until(t, "the first backup", func() bool { return !v.Health().Backup.Last.IsZero() })
	for i, at := range []time.Time{right, year2099, year1970, right.Add(40 * day), right.Add(4 * time.Hour)} {
		v = reopenAt(t, v, home, fake, at)
		x := &scheduled{t, v, fake, dir}
		h := v.Health().Backup
		if wait := h.Next.Sub(v.confirmedNow()); wait <= 0 || wait > time.Hour {
			t.Errorf("the next backup with a clock at %v is due in %v, want up to an hour", at, wait)
		}
		fake.Advance(time.Hour)
		poll.Until(t, fmt.Sprint("a backup with a clock at ", at), func() bool { return v.Health().Backup.Last.After(h.Last) })
		all := x.files()
		if made := v.Health().Backup; made.Err != nil || len(all) != min(i+2, 3) || all[0].Path != made.File || all[1].Path != h.File {
			t.Errorf("the backups with a clock at %v are %v, Health %+v, want %s and older ones", at, all, made, h.File)
		}
	}
	if _, err := os.Stat(future); err != nil {
		t.Error(err)
	}
	closeChecked(t, v)
}

// TestClockSetRightWhileOpen: what a vault schedules and counts while the clock is wrong
// happens in time after the clock is set right.
func TestClockSetRightWhileOpen(t *testing.T) {
	t.Parallel()
	v, _, _, _, fake, dir := newDeletionVault(t)
	ctx, right := t.Context(), fake.Now()
	v.cfg.Backup = BackupSchedule{Dir: t.TempDir(), Every: time.Hour, Protectors: []driver.Protector{passphrase(t, "backup")}}
	v.cfg.Scrub = ScrubSchedule{Every: time.Hour, BytesPerSecond: 1 << 30}
	v = reopenAt(t, v, dir, fake, year2099)
	defer func() { closeChecked(t, v) }()
	c := v.As(DefaultOwner)
	k, _ := importUntil(t, c, fake.Now().Add(time.Hour))
	external := newExternal(t, c)
	token := newImportFixture(t, c, external, ownKey(2))
	for range 20 { // more than have records of their own
		if _, err := v.As("mallory").GenerateRandom(ctx, 1); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
	}
	done := func() (backup, scrub time.Time) { h := v.Health(); return h.Backup.Last, h.Scrub.Last }
	poll.Until(t, "a backup with a wrong clock", func() bool { b, _ := done(); return !b.IsZero() })

	fake.Set(right.Add(time.Minute))
	if _, err := c.ImportKeyMaterial(ctx, external.ID, token.material()); !errors.Is(err, ErrImportToken) {
		t.Errorf("ImportKeyMaterial with a token that is valid until 2099: %v, want ErrImportToken", err)
	}
	poll.Until(t, "the count of failures", func() bool { fake.Advance(time.Second); return failedAt(t, c)["mallory"] == 20 })
	backup, _ := done()
	fake.Advance(time.Hour)
	poll.Until(t, "a backup and a scrub an hour later", func() bool {
		b, s := done()
		return b.After(backup) && !s.IsZero() && b.Before(right.Add(day)) && s.Before(right.Add(day))
	})
	if r := lastRecord(t, c, OpBackup); r.Result != audit.OK || v.Health().TimeInDoubt {
		t.Errorf("the record of the backup is %+v, Health %+v", r, v.Health())
	}
	if got, err := c.DescribeKey(ctx, k.ID); err != nil || got.State != Enabled || materialsOf(t, v, got) != 1 {
		t.Errorf("material that expires in 2099: %+v, error %v", got, err)
	}
}

// TestClockTable: what a vault does with a CMK to be destroyed in 7 days and with material
// that is valid for 30 days, whatever happens to the clock.
func TestClockTable(t *testing.T) {
	t.Parallel()
	type step struct {
		boot    bool          // the vault is opened again after a boot
		set     time.Duration // the time of day since the start; 0 leaves it
		advance time.Duration
		want    string
	}
	const (
		both    = "PendingDeletion, usable"
		refused = "PendingDeletion, refused"
		one     = "Destroyed, usable"
		none    = "Destroyed, expired"
		years   = 70 * 365 * day
	)
	start := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	to1970 := year1970.Sub(start)
	for name, steps := range map[string][]step{
		"right":                  {{advance: 7*day - 1, want: both}, {advance: 1, want: one}, {advance: 23*day - 1, want: one}, {advance: 1, want: none}},
		"back a day":             {{set: -day, want: both}, {advance: 7*day - 1, want: both}, {advance: 1, want: one}, {advance: 23 * day, want: none}},
		"back a day, booted":     {{boot: true, set: -day, want: both}, {advance: 7*day - 1, want: both}, {advance: time.Second, want: one}},
		"forward 40 days":        {{set: 40 * day, want: refused}, {advance: day - 1, want: refused}, {advance: 1, want: none}},
		"off for 40 days":        {{boot: true, set: 40 * day, want: refused}, {advance: day - 1, want: refused}, {advance: time.Second, want: none}},
		"off for 40 days, twice": {{boot: true, set: 40 * day, want: refused}, {advance: day / 2, want: refused}, {boot: true, advance: day / 2, want: refused}, {advance: day, want: none}},
		"forward 70 years and back": {{set: years, want: refused}, {advance: time.Hour, want: refused}, {set: time.Hour, want: both},
			{advance: 7*day - 2*time.Hour, want: both}, {advance: time.Hour, want: one}},
		"forward 70 years and back, booted": {{boot: true, set: years, want: refused}, {advance: time.Hour, want: refused},
			{boot: true, set: time.Hour, want: both}, {advance: 7*day - 2*time.Hour, want: both}, {advance: 2 * time.Hour, want: one}},
		"suspend":               {{advance: 6 * day, want: both}, {advance: 40 * day, want: none}},
		"1970 at boot":          {{boot: true, set: to1970, want: both}, {advance: 7*day - 1, want: both}, {advance: time.Second, want: one}, {advance: 23 * day, want: none}},
		"1970 at boot, then on": {{boot: true, set: to1970, want: both}, {set: time.Hour, want: both}, {advance: 7 * day, want: one}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := vaulttestClock{clock.NewFake(start), new(func())}
			cfg := testConfig()
			cfg.Clock = fake
			v, dir := newTestVault(t, cfg)
			c := v.As(DefaultOwner)
			deleted := mustSchedule(t, c, mustKey(t, c, KeyOptions{}).ID, 7)
			valid, _ := importUntil(t, c, start.Add(30*day))
			for i, s := range steps {
				if s.set != 0 {
					fake.Set(start.Add(s.set))
				}
				if s.boot {
					v = reopenAt(t, v, dir, fake.Fake, fake.Now())
				}
				fake.Advance(s.advance)
				(*fake.notify)()
				if got := fate(t, v, deleted.ID, valid.ID); got != s.want {
					t.Errorf("step %d: %+v: %s", i, s, got)
				}
			}
			closeChecked(t, v)
		})
	}
}

// vaulttestClock is a Fake that a test makes notify the vault.
type vaulttestClock struct {
	*clock.Fake
	notify *func()
}

func (c vaulttestClock) Notify(f func()) func() {
	*c.notify = f
	return func() {}
}

// fate describes a CMK that is to be destroyed and one whose material expires.
func fate(t *testing.T, v *Vault, deleted, valid string) string {
	t.Helper()
	c := v.As(DefaultOwner)
	d, err := c.DescribeKey(t.Context(), deleted)
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.DescribeKey(t.Context(), valid)
	if err != nil {
		t.Fatal(err)
	}
	k.Version = 1
	material := "usable"
	if _, err := c.Encrypt(t.Context(), valid, nil, nil); errors.Is(err, ErrKeyState) {
		material = "refused"
	} else if err != nil {
		material = err.Error()
	}
	if materialsOf(t, v, k) == 0 {
		material = "expired"
	}
	return string(d.State) + ", " + material
}

// TestSetTimeBack: a vault that was made with a clock years ahead gets the right time back.
// Waiting periods become longer by that, and what had expired stays expired.
func TestSetTimeBack(t *testing.T) {
	t.Parallel()
	device := drivertest.NewFaulty(drivertest.NewMemory())
	t.Cleanup(func() { device.Close() })
	fake, right := clock.NewFake(year2099), time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	cfg := deviceConfig(device)
	cfg.Clock, cfg.Scrub.Every = fake, time.Hour
	v, dir := newTestVault(t, cfg)
	c, ctx := v.As(DefaultOwner), t.Context()
	deleted := mustSchedule(t, c, mustKey(t, c, KeyOptions{}).ID, 7)
	expired, _ := importUntil(t, c, year2099.Add(time.Hour))
	device.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unavailable})
	external := newExternal(t, c)
	old := newImportFixture(t, c, external, ownKey(2))
	fake.Advance(time.Hour)
	if err := c.SetTimeBack(ctx, fake.Now()); !errors.Is(err, ErrInvalid) {
		t.Errorf("SetTimeBack to the vault's time: %v, want ErrInvalid", err)
	}

	v = reopenAt(t, v, dir, fake, right)
	c = v.As(DefaultOwner)
	for range 20 {
		if _, err := v.As("mallory").GenerateRandom(ctx, 1); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
	}
	if err := c.SetTimeBack(ctx, right.AddDate(1, 0, 0)); !errors.Is(err, ErrInvalid) {
		t.Errorf("SetTimeBack to another time than the clock's: %v, want ErrInvalid", err)
	}
	if err := v.As("mallory").SetTimeBack(ctx, right); !errors.Is(err, ErrDenied) {
		t.Errorf("SetTimeBack by a stranger: %v, want ErrDenied", err)
	}
	if err := c.SetTimeBack(ctx, right.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if r := lastRecord(t, c, OpSetTimeBack); r.Result != audit.OK || r.Detail["time"] != right.Format(time.RFC3339) || r.Detail["expected"] <= r.Detail["time"] {
		t.Errorf("the record of SetTimeBack is %+v", r)
	}
	if h := v.Health(); !v.confirmedNow().Equal(right) || h.TimeInDoubt || h.Scrub.Next.Sub(right).Abs() > day {
		t.Errorf("after SetTimeBack it is %v, Health %+v", v.confirmedNow(), h)
	}
	if _, err := c.ImportKeyMaterial(ctx, external.ID, old.material()); !errors.Is(err, ErrImportToken) {
		t.Errorf("ImportKeyMaterial with a token of 2099: %v, want ErrImportToken", err)
	}
	if _, err := c.Encrypt(ctx, expired.ID, nil, nil); !errors.Is(err, ErrKeyState) {
		t.Errorf("Encrypt with material that had expired: %v, want ErrKeyState", err)
	}
	poll.Until(t, "the count of failures", func() bool { fake.Advance(time.Second); return failedAt(t, c)["mallory"] == 21 })
	until := fake.Now().Add(time.Hour)
	valid, _ := importUntil(t, c, until)

	v = reopenAt(t, v, dir, fake, fake.Now())
	c = v.As(DefaultOwner)
	if now := v.confirmedNow(); now.Sub(right).Abs() > day {
		t.Errorf("opened again after SetTimeBack it is %v", now)
	}
	device.Clear()
	fake.Advance(8 * day)
	poll.Until(t, "the expiry of all", func() bool {
		v.tasks.RunAll(ctx, append(v.store.Paths(intents), importPathOf(valid.ID), importPathOf(expired.ID)))
		return len(v.store.Paths(intents)) == 0 && materialsOf(t, v, Key{ID: expired.ID, Version: 1})+materialsOf(t, v, Key{ID: valid.ID, Version: 1}) == 0
	})
	if got := runDeletion(t, c, deleted.ID, PendingDeletion); !got.DeletionDate.Equal(deleted.DeletionDate) {
		t.Errorf("8 days later: %+v", got)
	}
	if err := c.CancelKeyDeletion(ctx, deleted.ID); err != nil {
		t.Errorf("CancelKeyDeletion: %v", err)
	}
	closeChecked(t, v)
}

// TestSetTimeBackAfterDestructionBegan: a destruction that has begun is completed although
// its date is in the future then.
func TestSetTimeBackAfterDestructionBegan(t *testing.T) {
	t.Parallel()
	v, c, faulty, device, fake, dir := newDeletionVault(t)
	right := fake.Now()
	k := mustSchedule(t, c, mustKey(t, c, KeyOptions{}).ID, 7)
	faulty.Add(drivertest.Fault{Method: drivertest.MethodDestroyKey, Fail: true, Class: driver.Unavailable})
	fake.Advance(8 * day)
	runDeletion(t, c, k.ID, PendingDeletion)
	v = reopenAt(t, v, dir, fake, right)
	c = v.As(DefaultOwner)
	if err := c.SetTimeBack(t.Context(), right); err != nil {
		t.Fatal(err)
	}
	if err := c.CancelKeyDeletion(t.Context(), k.ID); !errors.Is(err, ErrKeyState) {
		t.Errorf("CancelKeyDeletion: %v, want ErrKeyState", err)
	}
	faulty.Clear()
	runIntents(t, c)
	if runDeletion(t, c, k.ID, Destroyed); objects(t, device) != 0 {
		t.Errorf("%d objects are in the device", objects(t, device))
	}
	closeChecked(t, v)
}

// TestLastRecordAndMark: the time of the last audit record counts at Open only if it is later
// than the stored time, advanced by the time since boot, and not in doubt.
func TestLastRecordAndMark(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	m := clockMark{Time: at, BootID: "a", Uptime: time.Hour}
	for name, x := range map[string]struct {
		r    audit.Record
		want bool
	}{
		"earlier":                             {audit.Record{Time: at.Add(-1), BootID: "a", Uptime: 2 * time.Hour}, false},
		"later, but set back since":           {audit.Record{Time: at.Add(8 * day), BootID: "a", Uptime: 9*day + time.Hour}, false},
		"later":                               {audit.Record{Time: at.Add(9*day + 1), BootID: "a", Uptime: 9*day + time.Hour}, true},
		"a day ahead":                         {audit.Record{Time: at.Add(10 * day), BootID: "a", Uptime: 9*day + time.Hour}, true},
		"in doubt":                            {audit.Record{Time: at.Add(10*day + 1), BootID: "a", Uptime: 9*day + time.Hour}, false},
		"after another boot":                  {audit.Record{Time: at.Add(day), BootID: "b", Uptime: 9 * day}, true},
		"in doubt after another boot":         {audit.Record{Time: at.Add(day + 1), BootID: "b", Uptime: 9 * day}, false},
		"of a boot whose uptime went back":    {audit.Record{Time: at.Add(1), BootID: "a"}, true},
		"before the mark, after another boot": {audit.Record{Time: at.Add(-day), BootID: "b"}, false},
	} {
		if got := m.precedes(x.r); got != x.want {
			t.Errorf("%s: %v, want %v", name, got, x.want)
		}
	}
	if first := (clockMark{}); !first.precedes(audit.Record{Time: at}) {
		t.Error("a record is not later than no mark")
	}
}

// TestChangeWhileTimeIsInDoubt changes CMKs whose material has expired by a time in doubt only. When
// the clock is right again they have the state and the material of before.
func TestChangeWhileTimeIsInDoubt(t *testing.T) {
	t.Parallel()
	v, c, _, _, fake, dir := newDeletionVault(t)
	ctx := t.Context()
	right := fake.Now()
	other := mustKey(t, c, KeyOptions{Alias: "of-another"})
	changes := map[string]func(c Client, id string) error{
		"SetAlias":       func(c Client, id string) error { return c.SetAlias(ctx, id, "set") },
		"AddAlias":       func(c Client, id string) error { return c.AddAlias(ctx, id, "added") },
		"DeleteAlias":    func(c Client, id string) error { return c.DeleteAlias(ctx, "DeleteAlias") },
		"MoveAlias to":   func(c Client, id string) error { return c.MoveAlias(ctx, "of-another", id) },
		"MoveAlias from": func(c Client, id string) error { return c.MoveAlias(ctx, "MoveAlias-from", other.ID) },
		"SetDescription": func(c Client, id string) error { return c.SetDescription(ctx, id, "described") },
		"TagKey":         func(c Client, id string) error { return c.TagKey(ctx, id, map[string]string{"team": "red"}) },
		"UntagKey":       func(c Client, id string) error { return c.UntagKey(ctx, id, "team") },
		"two changes": func(c Client, id string) error {
			return errors.Join(c.TagKey(ctx, id, map[string]string{"team": "red"}), c.SetAlias(ctx, id, "second"))
		},
		"schedule and cancel": func(c Client, id string) error {
			_, err := c.ScheduleKeyDeletion(ctx, id, 7)
			return errors.Join(err, c.CancelKeyDeletion(ctx, id))
		},
	}
	ids := map[string]string{}
	for name := range changes {
		k, _ := importUntil(t, c, right.Add(30*day))
		ids[name] = k.ID
		must(t, c.SetAlias(ctx, k.ID, strings.ReplaceAll(name, " ", "-")))
	}
	disabled, _ := importUntil(t, c, right.Add(30*day))
	must(t, c.DisableKeys(ctx, disabled.ID))

	v = reopenAt(t, v, dir, fake, right.Add(40*day))
	c = v.As(DefaultOwner)
	for name, change := range changes {
		if k, err := c.DescribeKey(ctx, ids[name]); err != nil || k.State != PendingImport {
			t.Errorf("%s: before the change the CMK is %v, %v", name, k.State, err)
		}
		if err := change(c, ids[name]); err != nil {
			t.Errorf("%s while the time is in doubt: %v", name, err)
		}
	}
	must(t, c.TagKey(ctx, disabled.ID, map[string]string{"team": "red"}))

	v = reopenAt(t, v, dir, fake, right.Add(time.Hour))
	defer closeChecked(t, v)
	c = v.As(DefaultOwner)
	for name, id := range ids {
		want := Enabled
		if name == "schedule and cancel" {
			want = Disabled
		}
		if k, err := c.DescribeKey(ctx, id); err != nil || k.State != want {
			t.Errorf("%s: after the clock was set right the CMK is %v, %v, want %v", name, k.State, err, want)
		}
	}
	if k, err := c.DescribeKey(ctx, disabled.ID); err != nil || k.State != Disabled || k.Tags["team"] != "red" {
		t.Errorf("TagKey of a disabled CMK: %+v, %v", k, err)
	}
	must(t, c.EnableKeys(ctx, disabled.ID))
	for name, id := range ids {
		if name == "schedule and cancel" {
			must(t, c.EnableKeys(ctx, id))
		}
		if _, err := c.Encrypt(ctx, id, nil, nil); err != nil {
			t.Errorf("%s: Encrypt after the clock was set right: %v", name, err)
		}
	}
}

// TestImportAfterDoubtWasStored: a CMK that an earlier version left PendingImport with its material
// is Enabled by an import of the same material, and decrypts.
func TestImportAfterDoubtWasStored(t *testing.T) {
	t.Parallel()
	v, c, _, _, fake, _ := newDeletionVault(t)
	defer closeChecked(t, v)
	ctx := t.Context()
	k, again := importUntil(t, c, fake.Now().Add(30*day))
	ciphertext, err := c.Encrypt(ctx, k.ID, []byte("text"), nil)
	must(t, err)
	must(t, v.store.Commit(ctx, func(tx *keystore.Tx) error {
		stored, err := keyInTx(tx, k.ID)
		stored.State = PendingImport
		tx.Put(keyPath(k.ID), encode(stored))
		return err
	}))
	if got, err := c.ImportKeyMaterial(ctx, k.ID, again.material()); err != nil || got.State != Enabled {
		t.Fatalf("ImportKeyMaterial of the same material: %v, %v", got.State, err)
	}
	if text, err := c.Decrypt(ctx, ciphertext, nil); err != nil || string(text) != "text" {
		t.Errorf("Decrypt: %q, %v", text, err)
	}
}
