package vault_test

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
	"strongroom.example/vault/vaulttest"
)

const oneDay = 24 * time.Hour

// rotationVault is a vault with one CMK that the test rotates.
type rotationVault struct {
	*testing.T
	*vaulttest.Vault
	key string
}

func newRotationVault(t *testing.T, configure ...func(*vault.Config)) *rotationVault {
	t.Helper()
	x := &rotationVault{T: t, Vault: vaulttest.New(t, configure...)}
	k, err := x.c().CreateKey(t.Context(), vault.KeyOptions{})
	x.must(err)
	x.key = k.ID
	return x
}

func (x *rotationVault) c() vault.Client { return x.As(vault.DefaultOwner) }

func (x *rotationVault) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatal(err)
	}
}

func (x *rotationVault) set(r vault.Rotation) vault.Key {
	x.Helper()
	k, err := x.c().SetRotation(x.Context(), x.key, r)
	x.must(err)
	return k
}

func (x *rotationVault) encrypt() []byte {
	x.Helper()
	ct, err := x.c().Encrypt(x.Context(), x.key, []byte("x"), nil)
	x.must(err)
	return ct
}

// version checks the number of the primary version.
func (x *rotationVault) version(when string, want uint32) vault.RotationStatus {
	x.Helper()
	s, err := x.c().GetRotation(x.Context(), x.key)
	if err != nil || s.Version != want {
		x.Errorf("%s: GetRotation: %+v, %v; want version %d", when, s, err, want)
	}
	return s
}

// rotations returns the successful rotations on record.
func (x *rotationVault) rotations() (found []audit.Record) {
	x.Helper()
	for r, err := range x.c().AuditRecords(x.Context(), audit.Filter{Operation: string(vault.OpRotateKey), Result: audit.OK}) {
		x.must(err)
		found = append(found, r)
	}
	return found
}

// TestRotationByDays: the vault rotates on the day and not before, and older versions
// decrypt. A restart changes nothing.
func TestRotationByDays(t *testing.T) {
	t.Parallel()
	x := newRotationVault(t)
	begin := x.Clock.Now()
	if k := x.set(vault.Rotation{Days: 30}); !k.NextRotation.Equal(begin.Add(30*oneDay)) || k.Rotation.Days != 30 {
		t.Errorf("SetRotation: %+v", k)
	}
	var made [][]byte
	for n := range uint32(4) {
		made = append(made, x.encrypt())
		x.Clock.Advance(29 * oneDay)
		x.set(vault.Rotation{Days: 30}) // postpones nothing
		x.Clock.Advance(oneDay - time.Nanosecond)
		x.version("a nanosecond before the day", n+1)
		if n%2 == 1 {
			x.Reopen()
		}
		x.Clock.Advance(time.Nanosecond)
		s := x.version("on the day", n+2)
		if now := x.Clock.Now(); !s.Last.Equal(now) || !s.Next.Equal(now.Add(30*oneDay)) {
			t.Errorf("GetRotation: %+v, want a rotation now", s)
		}
	}
	for i, ct := range made {
		if of, err := vault.Inspect(ct); err != nil || of.Version != uint32(i+1) {
			t.Errorf("ciphertext %d: %+v, %v", i, of, err)
		}
		if got, err := x.c().Decrypt(t.Context(), ct, nil); err != nil || string(got) != "x" {
			t.Errorf("Decrypt by version %d: %q, %v", i+1, got, err)
		}
	}
	for _, r := range x.rotations() {
		if r.Principal != "(vault)" || r.Phase != audit.Outcome || r.Detail["due"] != "days" || r.Key != x.key {
			t.Errorf("the record of a rotation: %+v", r)
		}
	}
	versions, err := x.c().ListKeyVersions(t.Context(), x.key)
	if err != nil || len(versions) != 5 || !slices.IsSortedFunc(versions, func(a, b vault.KeyVersion) int { return a.Created.Compare(b.Created) }) {
		t.Errorf("ListKeyVersions: %+v, %v; want the history of 5 versions", versions, err)
	}
	x.set(vault.Rotation{})
	x.Clock.Advance(400 * oneDay)
	if s := x.version("without a rotation", 5); !s.Next.IsZero() {
		t.Errorf("GetRotation: %+v", s)
	}
}

// TestRotationByUses: the vault rotates after a number of uses that protect, also if the
// last of them came before a restart, and whatever the clock says.
func TestRotationByUses(t *testing.T) {
	t.Parallel()
	x := newRotationVault(t)
	x.set(vault.Rotation{Uses: 3})
	for range 2 {
		ct := x.encrypt()
		_, err := x.c().Decrypt(t.Context(), ct, nil)
		x.must(err)
	}
	x.Clock.Advance(time.Second)
	x.version("after two uses", 1)
	x.encrypt()
	x.Clock.Advance(time.Second)
	if s := x.version("after three uses", 2); s.Uses.Protected != 0 || !s.Next.IsZero() {
		t.Errorf("GetRotation: %+v", s)
	}
	for range 2 {
		x.encrypt()
	}
	x.Clock.Set(x.Clock.Now().AddDate(70, 0, 0)) // in doubt
	dk, err := x.c().GenerateDataKey(t.Context(), x.key, vault.DataKeyDefault, nil)
	x.must(err)
	dk.Destroy()
	x.Reopen()
	x.Clock.Advance(time.Second)
	x.version("after a restart", 3)
	for _, r := range x.rotations() {
		if r.Principal != "(vault)" || r.Detail["due"] != "uses" {
			t.Errorf("the record of a rotation: %+v", r)
		}
	}
}

// TestRotationCatchesUp: a vault that was closed for months rotates once.
func TestRotationCatchesUp(t *testing.T) {
	t.Parallel()
	x := newRotationVault(t)
	x.set(vault.Rotation{Days: 30})
	x.must(x.Close())
	x.Clock.Advance(100 * oneDay)
	x.Reopen()
	x.must(x.c().ConfirmTime(t.Context()))
	x.Clock.Advance(time.Second)
	if s := x.version("after three months", 2); !s.Next.After(x.Clock.Now().Add(29 * oneDay)) {
		t.Errorf("GetRotation: %+v", s)
	}
	x.Clock.Advance(29 * oneDay)
	x.version("29 days later", 2)
	x.Clock.Advance(oneDay)
	x.version("30 days later", 3)
}

// TestRotationByWrongClock: a clock that is ahead rotates nothing until it is confirmed, and
// a rotation that was recorded by it postpones none.
func TestRotationByWrongClock(t *testing.T) {
	t.Parallel()
	x := newRotationVault(t)
	begin := x.Clock.Now()
	x.set(vault.Rotation{Days: 30})
	x.Clock.Set(begin.AddDate(70, 0, 0))
	x.Clock.Advance(time.Hour)
	x.version("70 years ahead", 1)
	x.Reopen()
	x.Clock.Advance(time.Hour)
	x.version("70 years ahead, after a restart", 1)
	_, err := x.c().RotateKey(t.Context(), x.key)
	x.must(err)
	x.Clock.Set(begin.Add(3 * time.Hour))
	x.Clock.Advance(29 * oneDay)
	x.version("29 days later", 2)
	x.Clock.Advance(2 * oneDay)
	x.version("31 days later", 3)
}

// TestRotationAfterSetTimeBack: a vault that was made and rotated by a clock 70 years ahead
// rotates as it is set to once its time was set back.
func TestRotationAfterSetTimeBack(t *testing.T) {
	t.Parallel()
	begin := time.Date(2096, 1, 1, 0, 0, 0, 0, time.UTC)
	x := newRotationVault(t, func(c *vault.Config) { c.Clock = vaulttest.NewClock(begin) })
	x.set(vault.Rotation{Days: 30})
	x.Clock.Advance(30 * oneDay)
	x.version("by the wrong clock", 2)
	now := begin.AddDate(-70, 0, 0)
	x.Clock.Set(now)
	x.must(x.c().SetTimeBack(t.Context(), now))
	for n := range uint32(2) {
		x.Clock.Advance(29 * oneDay)
		x.version("29 days after", n+2)
		if n == 1 {
			x.Reopen()
		}
		x.Clock.Advance(oneDay)
		x.version("30 days after", n+3)
	}
}

// TestRotationOfStates: a CMK that is not Enabled is not rotated, and is within an hour
// once it is. A destroyed CMK leaves no task.
func TestRotationOfStates(t *testing.T) {
	t.Parallel()
	x := newRotationVault(t)
	ctx := t.Context()
	x.set(vault.Rotation{Days: 7})
	x.must(x.c().DisableKeys(ctx, x.key))
	x.Clock.Advance(8 * oneDay)
	x.version("disabled", 1)
	x.must(x.c().EnableKeys(ctx, x.key))
	x.Clock.Advance(time.Hour)
	x.version("enabled", 2)
	x.must(x.c().ArchiveKey(ctx, x.key))
	x.Clock.Advance(8 * oneDay)
	x.version("archived", 2)
	x.must(x.c().DisableKeys(ctx, x.key))
	_, err := x.c().ScheduleKeyDeletion(ctx, x.key, 7)
	x.must(err)
	x.Clock.Advance(8 * oneDay)
	k, err := x.c().DescribeKey(ctx, x.key)
	if err != nil || k.State != vault.Destroyed || k.Rotation != (vault.Rotation{}) || k.Version != 2 {
		t.Errorf("DescribeKey: %+v, %v; want it destroyed", k, err)
	}
	x.Reopen()
	x.Clock.Advance(8 * oneDay)
	x.version("destroyed", 2)
}

// TestRotationRefused: the named errors of SetRotation.
func TestRotationRefused(t *testing.T) {
	t.Parallel()
	x := newRotationVault(t)
	ctx := t.Context()
	for _, days := range []int{-1, 1, 6, 366, math.MaxInt32} {
		if _, err := x.c().SetRotation(ctx, x.key, vault.Rotation{Days: days}); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("SetRotation every %d days: %v, want ErrInvalid", days, err)
		}
	}
	for want, o := range map[error]vault.KeyOptions{
		vault.ErrUsage:       {Usage: vault.SignVerify, Spec: vault.ECCP256},
		vault.ErrUnsupported: {Origin: vault.OriginExternal},
	} {
		k, err := x.c().CreateKey(ctx, o)
		x.must(err)
		if _, err := x.c().SetRotation(ctx, k.ID, vault.Rotation{Days: 30}); !errors.Is(err, want) {
			t.Errorf("SetRotation of %+v: %v, want %v", o, err, want)
		}
	}
	if _, err := x.As("mallory").SetRotation(ctx, x.key, vault.Rotation{Days: 30}); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("SetRotation by another principal: %v, want ErrDenied", err)
	}
	_, err := vault.Create(ctx, filepath.Join(t.TempDir(), "v"), vault.Config{MinRotateInterval: -1})
	if !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("a negative MinRotateInterval: %v, want ErrInvalid", err)
	}
}

// TestRotateInterval: Config.MinRotateInterval refuses a second rotation, and postpones that
// of the vault.
func TestRotateInterval(t *testing.T) {
	t.Parallel()
	x := newRotationVault(t, func(c *vault.Config) { c.MinRotateInterval = oneDay })
	rotate := func() error { _, err := x.c().RotateKey(t.Context(), x.key); return err }
	x.must(rotate())
	x.Clock.Advance(oneDay - time.Second)
	if err := rotate(); !errors.Is(err, vault.ErrRotatedRecently) {
		t.Errorf("RotateKey a second before the end: %v, want ErrRotatedRecently", err)
	}
	x.Clock.Advance(time.Second)
	x.must(rotate())
	x.set(vault.Rotation{Uses: 1})
	x.encrypt()
	x.Clock.Advance(oneDay - time.Second)
	x.version("a second before the end", 3)
	x.Clock.Advance(time.Second)
	x.version("at the end", 4)
}

// TestRotationOfAbsentDevice: a rotation whose device is absent is done once the device is
// back, and every failure is on record.
func TestRotationOfAbsentDevice(t *testing.T) {
	t.Parallel()
	device := drivertest.NewFaulty(drivertest.NewMemory())
	x := newRotationVault(t, func(c *vault.Config) { c.Drivers, c.Driver = map[string]driver.Driver{"device": device}, "device" })
	x.set(vault.Rotation{Days: 7})
	device.Add(drivertest.Fault{Fail: true, Class: driver.Unavailable})
	x.Clock.Advance(7 * oneDay)
	x.version("while the device is absent", 1)
	device.Clear()
	x.Clock.Advance(2 * time.Hour)
	x.version("after it is back", 2)
	if k, err := x.c().DescribeKey(t.Context(), x.key); err != nil || k.Residence != vault.Resident || k.Driver != "device" {
		t.Errorf("DescribeKey: %+v, %v", k, err)
	}
}

// TestMinimumVersion: ciphertexts below the minimum are refused by every operation that
// opens them, and a lower minimum opens them again.
func TestMinimumVersion(t *testing.T) {
	t.Parallel()
	x := newRotationVault(t)
	ctx := t.Context()
	var made [][]byte
	for range 3 {
		made = append(made, x.encrypt())
		_, err := x.c().RotateKey(ctx, x.key)
		x.must(err)
	}
	opens := map[string]func([]byte) error{
		"Decrypt":     func(ct []byte) error { _, err := x.c().Decrypt(ctx, ct, nil); return err },
		"ReEncrypt":   func(ct []byte) error { _, err := x.c().ReEncrypt(ctx, ct, x.key, nil, nil); return err },
		"OpenDataKey": func(ct []byte) error { k, err := x.c().OpenDataKey(ctx, ct, nil); k.Destroy(); return err },
	}
	for _, minimum := range []uint32{2, 4, 1, 3} {
		x.must(x.c().SetMinimumVersion(ctx, x.key, minimum))
		if minimum == 3 {
			x.Reopen()
		}
		for i, ct := range made {
			for name, open := range opens {
				err := open(ct)
				if below := uint32(i+1) < minimum; below != errors.Is(err, vault.ErrMinimumVersion) || !below && err != nil {
					t.Errorf("%s of a ciphertext of version %d, the minimum is %d: %v", name, i+1, minimum, err)
				}
			}
		}
		if k, err := x.c().DescribeKey(ctx, x.key); err != nil || k.MinVersion != minimum {
			t.Errorf("DescribeKey: %+v, %v", k, err)
		}
	}
	for _, n := range []uint32{0, 5, 1 << 31} {
		if err := x.c().SetMinimumVersion(ctx, x.key, n); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("SetMinimumVersion %d of a key with 4 versions: %v, want ErrInvalid", n, err)
		}
	}
}

// TestTrimKeyVersion: a version that never encrypted is trimmed, in the device too; one that
// did is refused, whatever was re-encrypted.
func TestTrimKeyVersion(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"soft", "device"} {
		t.Run(name, func(t *testing.T) {
			device := drivertest.NewMemory()
			x := newRotationVault(t, func(c *vault.Config) { c.Drivers, c.Driver = map[string]driver.Driver{"device": device}, name })
			ctx := t.Context()
			objects := func() (n int) {
				for _, err := range device.ListKeys(ctx) {
					x.must(err)
					n++
				}
				return n
			}
			old := x.encrypt()
			for range 3 {
				_, err := x.c().RotateKey(ctx, x.key)
				x.must(err)
			}
			_, err := x.c().ReEncrypt(ctx, old, "", nil, nil)
			x.must(err)
			before := objects()
			trim := func(n uint32, want error) {
				t.Helper()
				if err := x.c().TrimKeyVersion(ctx, x.key, n); !errors.Is(err, want) || want == nil && err != nil {
					t.Errorf("TrimKeyVersion %d: %v, want %v", n, err, want)
				}
			}
			trim(2, vault.ErrInvalid)
			x.must(x.c().SetMinimumVersion(ctx, x.key, 3))
			trim(0, vault.ErrInvalid)
			trim(1, vault.ErrVersionUsed)
			trim(3, vault.ErrInvalid)
			trim(4, vault.ErrInvalid)
			trim(9, vault.ErrNotFound)
			trim(2, nil)
			trim(2, nil)
			if name == "device" && objects() != before-1 {
				t.Errorf("the device has %d objects, and had %d", objects(), before)
			}
			if err := x.c().SetMinimumVersion(ctx, x.key, 2); !errors.Is(err, vault.ErrInvalid) {
				t.Errorf("SetMinimumVersion to a trimmed version: %v, want ErrInvalid", err)
			}
			x.Reopen()
			versions, err := x.c().ListKeyVersions(ctx, x.key)
			x.must(err)
			for _, ver := range versions {
				if ver.Trimmed.IsZero() != (ver.Number != 2) {
					t.Errorf("version %d: trimmed at %v", ver.Number, ver.Trimmed)
				}
			}
			if name == "soft" {
				receipts, err := x.c().MoveKey(ctx, x.key, "device")
				if err != nil || len(receipts) != 3 {
					t.Errorf("MoveKey: %d receipts, %v; want those of the 3 versions with material", len(receipts), err)
				}
			}
			x.must(x.c().Check(ctx))
			x.must(x.c().DisableKeys(ctx, x.key))
			_, err = x.c().ScheduleKeyDeletion(ctx, x.key, 7)
			x.must(err)
			x.Clock.Advance(8 * oneDay)
			if k, err := x.c().DescribeKey(ctx, x.key); err != nil || k.State != vault.Destroyed || objects() != 0 {
				t.Errorf("DescribeKey: %+v, %v, and %d objects in the device; want none", k, err, objects())
			}
		})
	}
}

// TestManyRotations: rotations that are due at the same time are all done.
func TestManyRotations(t *testing.T) {
	t.Parallel()
	x := newRotationVault(t)
	keys := []string{x.key}
	for range 20 {
		k, err := x.c().CreateKey(t.Context(), vault.KeyOptions{Alias: fmt.Sprint("key-", len(keys))})
		x.must(err)
		keys = append(keys, k.ID)
	}
	for _, x.key = range keys {
		x.set(vault.Rotation{Days: 7})
	}
	x.Clock.Advance(7 * oneDay)
	for _, x.key = range keys {
		x.version("on the day", 2)
	}
}
