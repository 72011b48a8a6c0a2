package vaultsuite

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
	"strongroom.example/vault/vaulttest"
)

// waiting is the waiting period of the keys that the checks destroy.
const waiting = vault.MinDeletionDays * 24 * time.Hour

// A timedHome is a vault in its directory, with a clock that the check of the suite sets.
type timedHome struct {
	*home
	clock *vaulttest.Clock
	row   row
}

// timed makes a vault for one check. Its default driver can be made to fail.
func (s *subject) timed(t *testing.T) timedHome {
	t.Helper()
	clock := vaulttest.NewClock(time.Now().UTC())
	h, cfg := s.Harness, s.Config(t)
	if builtIn(cfg) {
		cfg, h.Reopen = asDevice(t, cfg), nil // the software engine stays open
	}
	if again := h.Reopen; again != nil {
		h.Reopen = func(t *testing.T, cfg vault.Config) vault.Config {
			cfg = again(t, cfg)
			cfg.Clock, cfg.Scrub.Every = clock, -1
			return cfg
		}
	}
	cfg.Clock, cfg.Scrub.Every = clock, -1
	return timedHome{newHome(t, h, cfg), clock, s.eachOnDevice(t)[0]}
}

// scheduled makes a key of some versions with a named data key, schedules its destruction, and
// returns it with the objects that the device had before.
func (x timedHome) scheduled(t *testing.T, versions int) (vault.Key, map[driver.MaterialID]bool) {
	t.Helper()
	c, ctx, objects := x.owner(), t.Context(), x.objects(t)
	k := x.create(t, x.options(x.row))
	var err error
	for range versions - 1 {
		if _, rotateErr := c.RotateKey(ctx, k.ID); rotateErr != nil && !errors.Is(rotateErr, vault.ErrUsage) {
			t.Fatal(rotateErr)
		}
	}
	if k.Usage == vault.EncryptDecrypt {
		_, err = c.CreateDataKey(ctx, k.ID, 32, vault.DataKeyOptions{Name: "of-" + k.ID})
	}
	if err = errors.Join(err, c.DisableKeys(ctx, k.ID)); err != nil {
		t.Fatal(err)
	}
	if k, err = c.ScheduleKeyDeletion(ctx, k.ID, vault.MinDeletionDays); err != nil {
		t.Fatal(err)
	}
	return k, objects
}

// destroyed reports whether a key is Destroyed. It must not be before nothing of it is left.
func (x timedHome) destroyed(t *testing.T, when string, k vault.Key, before map[driver.MaterialID]bool) bool {
	t.Helper()
	now, err := x.owner().DescribeKey(t.Context(), k.ID)
	if err != nil {
		t.Fatal(err)
	}
	switch now.State {
	case vault.PendingDeletion:
		return false
	case vault.Destroyed:
	default:
		t.Errorf("%s: the key is %s", when, now.State)
	}
	if n := x.objectsSince(t, before); n != 0 {
		t.Errorf("%s: the key is Destroyed, and %d objects of it are in the device", when, n)
	}
	for d, err := range x.owner().ListDataKeys(t.Context(), vault.DataKeyFilter{Key: k.ID}) {
		t.Errorf("%s: the key is Destroyed, and data key %s of it is there (%v)", when, d.Name, err)
	}
	return true
}

// finished checks that a key is Destroyed, with one intent and one outcome on record. Records
// that the destruction waits for another device may precede them.
func (x timedHome) finished(t *testing.T, when string, k vault.Key, before map[driver.MaterialID]bool) {
	t.Helper()
	if !x.destroyed(t, when, k, before) {
		t.Fatalf("%s: the key is not destroyed", when)
	}
	phases := map[audit.Phase]int{}
	for r, err := range x.owner().AuditRecords(t.Context(), audit.Filter{Operation: string(vault.OpDestroyKey), Key: k.ID}) {
		if err != nil {
			t.Fatal(err)
		}
		if waitsForDevice(r) {
			continue
		}
		phases[r.Phase]++
	}
	if phases[audit.Intent] != 1 || phases[audit.Outcome] != 1 || len(phases) != 2 {
		t.Errorf("%s: the records of the destruction are %v, want one intent and one outcome", when, phases)
	}
}

// waitsForDevice reports whether a record says that a destruction waits because the driver has
// another device.
func waitsForDevice(r audit.Record) bool {
	return r.Result == audit.Failed && r.Error == "WRONG_DEVICE"
}

// destructionFails: any call of the device fails while a key is destroyed, before or after the
// device did the work. The key is Destroyed only when all of it is gone, which is so a minute
// later, or after a restart.
func destructionFails(t *testing.T, s *subject) {
	x := s.timed(t)
	interrupted := 0
	for _, after := range []bool{false, true} {
		for n := 1; ; n++ {
			k, before := x.scheduled(t, 2)
			calls := x.device.Calls("")
			x.device.Add(drivertest.Fault{Nth: n, Fail: true, After: after, Class: driver.Denied})
			x.clock.Advance(waiting)
			calls = x.device.Calls("") - calls
			x.device.Clear()
			if !x.destroyed(t, "at the date", k, before) {
				interrupted++
				if n%2 == 0 {
					x.reopen(t)
				}
				x.clock.Advance(2 * time.Minute)
			}
			x.finished(t, "after a call failed", k, before)
			if calls < n {
				break
			}
		}
	}
	if interrupted < 4 {
		t.Errorf("only %d destructions were interrupted", interrupted)
	}
}

// destructionDies: the process ends before or after any call of the device while a key is
// destroyed. The next Open finishes the destruction.
func destructionDies(t *testing.T, s *subject) {
	x := s.timed(t)
	for n := 1; ; n++ {
		k, before := x.scheduled(t, 1)
		left, dir := filepath.Join(t.TempDir(), "left"), x.dir
		stop := x.device.at(n, func() {
			if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
				t.Error(err)
			}
		})
		x.clock.Advance(waiting)
		if steps := stop(); steps < n {
			if steps < 2 {
				t.Errorf("only %d steps of the device were seen", steps)
			}
			return
		}
		x.close(t)
		x.dir = left
		x.open(t)
		x.clock.Advance(2 * time.Minute)
		x.finished(t, "after the process died", k, before)
	}
}

// destructionWaits: without its device, a key remains PendingDeletion, however long that is. It
// is destroyed when the vault is opened with the device.
func destructionWaits(t *testing.T, s *subject) {
	x := s.timed(t)
	k, before := x.scheduled(t, 2)
	x.close(t)
	absent := x.cfg
	absent.Drivers, absent.Driver = nil, ""
	x.openAs(t, absent)
	for range 3 {
		x.clock.Advance(waiting)
		if x.destroyed(t, "without its device", k, before) {
			t.Error("the key is Destroyed without its device")
		}
		if err := x.owner().CancelKeyDeletion(t.Context(), k.ID); !errors.Is(err, vault.ErrKeyState) {
			t.Errorf("CancelKeyDeletion after the date: %v, want ErrKeyState", err)
		}
	}
	x.close(t)
	x.open(t)
	x.clock.Advance(2 * time.Minute)
	x.finished(t, "with the device again", k, before)
}

// destructionElsewhere: the date passes while another device, which has no key, is in the place
// of the key's own. That the other device lacks the key is no proof of its destruction: the key
// remains PendingDeletion, its device keeps all of it, and the log says why. It is destroyed
// when the vault is opened with its device again. A key of a driver that lists no objects is a
// blob in the vault; it ends with the blob, whatever device there is.
func destructionElsewhere(t *testing.T, s *subject) {
	if s.Other == nil {
		t.Skip("the harness cannot give a second device")
	}
	x := s.timed(t)
	k, before := x.scheduled(t, 2)
	held := x.objectsSince(t, before)
	x.close(t)
	own := x.cfg
	x.cfg = s.Other(t)
	x.cfg.Clock, x.cfg.Scrub.Every = x.clock, -1
	x.openAs(t, x.cfg)
	if x.device.Info().Lister {
		x.remains(t, k, before, held)
	} else {
		x.clock.Advance(waiting)
		x.finished(t, "with another device, for a key that is a blob", k, before)
	}
	x.close(t)
	x.closeDrivers(t)
	x.cfg = own
	x.open(t)
	x.clock.Advance(2 * time.Minute)
	x.finished(t, "with its device again", k, before)
}

// remains checks that a key is not destroyed while the vault has another device than that of
// the key, which held some objects of it.
func (x timedHome) remains(t *testing.T, k vault.Key, before map[driver.MaterialID]bool, held int) {
	t.Helper()
	if held == 0 {
		t.Fatal("the device has no object of the key")
	}
	for range 3 {
		x.clock.Advance(waiting)
		if x.destroyed(t, "with another device", k, before) {
			t.Error("the key is Destroyed although its device was not there")
		}
		if n := x.objectsSince(t, before); n != held {
			t.Errorf("with another device: the key's own has %d objects of it, want %d", n, held)
		}
	}
	waits := 0
	for r, err := range x.owner().AuditRecords(t.Context(), audit.Filter{Operation: string(vault.OpDestroyKey), Key: k.ID}) {
		switch {
		case err != nil:
			t.Fatal(err)
		case waitsForDevice(r):
			waits++
		case r.Phase == audit.Outcome:
			t.Errorf("with another device: the destruction has an outcome on record: %s %s", r.Result, r.Error)
		}
	}
	if waits == 0 {
		t.Error("with another device: no record says that the destruction waits for its device")
	}
}
