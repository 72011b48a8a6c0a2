package vault

import (
	"errors"
	"testing"
	"time"

	"strongroom.example/internal/clock"
)

// TestClockAtTheEndOfTime: a vault that was used, opened and closed with a clock at or
// beyond the end of the range of times opens and works, with that clock and later with a
// correct one.
func TestClockAtTheEndOfTime(t *testing.T) {
	t.Parallel()
	right := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for name, at := range map[string]time.Time{
		"the last second": time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		"a day before":    time.Date(9999, 12, 31, 1, 0, 0, 0, time.UTC),
		"beyond":          time.Date(30000, 1, 1, 0, 0, 0, 0, time.UTC),
		"before the year": time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(name, func(t *testing.T) {
			fake := clock.NewFake(right)
			cfg := testConfig()
			cfg.Clock = fake
			v, dir := newTestVault(t, cfg)
			for _, now := range []time.Time{right, at, at, right} {
				fake.Set(now)
				fake.Advance(time.Hour)
				if now.Equal(right) {
					fake.Reboot()
				}
				usesClock(t, v)
				closeChecked(t, v)
				var err error
				if v, err = Open(t.Context(), dir, cfg, passphrase(t, "correct horse")); err != nil {
					t.Fatalf("Open under a clock at %v: %v", now, err)
				}
			}
			closeChecked(t, v)
		})
	}
}

// usesClock runs the operations that store a time.
func usesClock(t *testing.T, v *Vault) {
	t.Helper()
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	external := newExternal(t, c)
	m := newImportFixture(t, c, external, ownKey(1)).material()
	_, imported := c.ImportKeyMaterial(ctx, external.ID, m)
	if imported != nil && !errors.Is(imported, ErrImport) { // at the end of time a token is expired from the start
		t.Errorf("ImportKeyMaterial: %v", imported)
	}
	m.ValidTo = v.clock.Now().Add(time.Hour)
	if _, err := c.ImportKeyMaterial(ctx, external.ID, m); err != nil && !errors.Is(err, ErrImport) && !errors.Is(err, ErrInvalid) {
		t.Errorf("ImportKeyMaterial with a ValidTo: %v", err)
	}
	_, rotated := c.RotateKey(ctx, k.ID)
	_, added := c.AddProtector(ctx, passphrase(t, "correct horse"), passphrase(t, "second"))
	_, refused := v.As("mallory").GenerateRandom(ctx, 1)
	if err := errors.Join(rotated, added); err != nil || !errors.Is(refused, ErrDenied) {
		t.Errorf("RotateKey, AddProtector: %v; a stranger: %v", err, refused)
	}
}
