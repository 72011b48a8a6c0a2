package vault

import (
	"context"
	"errors"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/clock"
	"strongroom.example/keystore"
)

// cancelClock is a clock that calls ring when it is asked for the boot.
type cancelClock struct {
	clock.Clock
	ring func()
}

func (a *cancelClock) Boot() (id [16]byte, since time.Duration) {
	if a.ring != nil {
		a.ring()
	}
	return a.Clock.Boot()
}

// TestCancelledBeforeCommit: if the context ends after the operation acted and before its
// record is written, the caller gets no result, and the failure is recorded.
func TestCancelledBeforeCommit(t *testing.T) {
	a, cfg := &cancelClock{Clock: clock.System()}, testConfig()
	cfg.Clock = a
	v, _ := newTestVault(t, cfg)
	c := v.As(DefaultOwner)
	ctx, cancel := context.WithCancel(t.Context())
	a.ring = cancel
	if b, err := c.GenerateRandom(ctx, 8); err != context.Canceled || b != nil {
		t.Errorf("GenerateRandom with a context that ended: %x, %v, want context.Canceled", b, err)
	}
	a.ring = nil
	if r := lastRecord(t, c, OpGenerateRandom); r.Result != audit.Failed || r.Error != "CANCELLED" || r.OutputSize != 0 {
		t.Errorf("the record of the cancelled GenerateRandom is %+v", r)
	}
}

// TestCancelledDeletion: once the material is destroyed the outcome is recorded, even if
// the context has ended.
func TestCancelledDeletion(t *testing.T) {
	x, v := newCrashFixture(t, 1)
	c := v.As(DefaultOwner)
	ctx, cancel := context.WithCancel(t.Context())
	batches := 0
	x.engine.Fault(func(keystore.Batch) error {
		if batches++; batches == 2 {
			cancel()
		}
		return nil
	})
	if err := c.DeleteImportedKeyMaterial(ctx, x.destroyed.ID); err != nil || ctx.Err() == nil {
		t.Errorf("DeleteImportedKeyMaterial: %v, want nil although its context ended: %v", err, ctx.Err())
	}
	x.engine.Fault(nil)
	if n := len(v.store.Paths(intents)); n != 0 {
		t.Errorf("%d intents remain, want 0", n)
	}
	if r := lastRecord(t, c, OpDeleteImportedKeyMaterial); r.Phase != audit.Outcome || r.Result != audit.OK {
		t.Errorf("the record of the deletion is %+v", r)
	}
	closeChecked(t, v)
}

// TestValidToAfterYear9999: the last valid year is decided in UTC.
func TestValidToAfterYear9999(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := newExternal(t, c)
	m := newImportFixture(t, c, k, ownKey(1)).material()
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, at := range []time.Time{
		last.Add(time.Second).In(time.FixedZone("west", -3600)), last.AddDate(100, 0, 0), time.Unix(0, 0), time.Unix(-1<<60, 0), time.Unix(1<<60, 0),
	} {
		m.ValidTo = at
		if _, err := c.ImportKeyMaterial(t.Context(), k.ID, m); !errors.Is(err, ErrInvalid) {
			t.Errorf("ImportKeyMaterial with ValidTo %v: %v, want ErrInvalid", at, err)
		}
	}
	m.ValidTo = last
	if got := mustImport(t, c, k.ID, m); !got.ValidTo.Equal(last) {
		t.Errorf("ImportKeyMaterial: ValidTo is %v, want %v", got.ValidTo, last)
	}
}
