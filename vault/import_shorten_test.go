package vault

import (
	"errors"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/clock"
)

// TestShorteningNeedsDeletePermission: a principal that may import but not delete cannot
// shorten the life of material by importing it again, but can extend it.
func TestShorteningNeedsDeletePermission(t *testing.T) {
	fake, may := clock.NewFake(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)), mayOnly{OpImportKeyMaterial: true}
	cfg := testConfig()
	cfg.Clock, cfg.Authorizer = fake, may
	v, _ := newTestVault(t, cfg)
	owner, clerk, ctx := v.As(DefaultOwner), v.As("clerk"), t.Context()
	k := newExternal(t, owner)
	m := newImportFixture(t, owner, k, ownKey(1)).material()
	soon, day, week, never := fake.Now().Add(300*time.Millisecond), fake.Now().AddDate(0, 0, 1), fake.Now().AddDate(0, 0, 7), time.Time{}
	for _, row := range []struct {
		name    string
		by      Client
		validTo time.Time
		want    error
	}{
		{"the first import", clerk, day, nil},
		{"earlier", clerk, soon, ErrDenied},
		{"the same", clerk, day, nil},
		{"later", clerk, week, nil},
		{"back to a day", clerk, day, ErrDenied},
		{"never", clerk, never, nil},
		{"any date after never", clerk, week, ErrDenied},
		{"by a principal that may delete", owner, week, nil},
	} {
		m.ValidTo = row.validTo
		if _, err := row.by.ImportKeyMaterial(ctx, k.ID, m); !errors.Is(err, row.want) {
			t.Errorf("%s: ImportKeyMaterial: %v, want %v", row.name, err, row.want)
		}
		r := lastRecord(t, owner, OpImportKeyMaterial)
		if refused := r.Result == audit.Refused && r.Rule == "may DeleteImportedKeyMaterial"; refused != (row.want != nil) || row.want == nil && r.Rule != "may ImportKeyMaterial" {
			t.Errorf("%s: the record has result %s and rule %q", row.name, r.Result, r.Rule)
		}
	}
	fake.Advance(time.Second)
	if _, err := owner.Encrypt(ctx, k.ID, nil, nil); err != nil {
		t.Errorf("Encrypt after the imports that were denied: %v", err)
	}
	if err := owner.DeleteImportedKeyMaterial(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	again := newImportFixture(t, owner, k, ownKey(1)).material()
	again.ValidTo = fake.Now().Add(time.Second)
	if _, err := clerk.ImportKeyMaterial(ctx, k.ID, again); err != nil {
		t.Errorf("an import of material that is not there, for a second: %v", err)
	}
	may[OpDeleteImportedKeyMaterial] = true
	again.ValidTo = fake.Now().Add(time.Millisecond)
	if _, err := clerk.ImportKeyMaterial(ctx, k.ID, again); err != nil {
		t.Errorf("a shorter life by a principal that may delete: %v", err)
	}
}

// TestShorteningOfBoundKey: an import that sets an earlier end fails while a resource is
// bound to the CMK, and one that does not shorten succeeds.
func TestShorteningOfBoundKey(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	ctx, c := t.Context(), v.As(DefaultOwner)
	k := newExternal(t, c)
	m := newImportFixture(t, c, k, ownKey(1)).material()
	mustImport(t, c, k.ID, m)
	if err := c.BindResource(ctx, k.ID, "db"); err != nil {
		t.Fatal(err)
	}
	mustImport(t, c, k.ID, m)
	shorter := m
	shorter.ValidTo = time.Now().Add(time.Minute)
	if _, err := c.ImportKeyMaterial(ctx, k.ID, shorter); !errors.Is(err, ErrKeyBound) {
		t.Errorf("an import that shortens the life of a bound CMK: %v, want ErrKeyBound", err)
	}
	if got, err := c.DescribeKey(ctx, k.ID); err != nil || !got.ValidTo.IsZero() {
		t.Errorf("the material is valid to %v, %v, want no end", got.ValidTo, err)
	}
	if err := c.UnbindResource(ctx, k.ID, "db"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ImportKeyMaterial(ctx, k.ID, shorter); err != nil {
		t.Errorf("after the resource was unbound: %v", err)
	}
}

// TestShorteningAfterAnotherImport: an import that shortens nothing at its decision is
// decided again if another import sets a later ValidTo before its commit.
func TestShorteningAfterAnotherImport(t *testing.T) {
	s := newDeviceSteps(t)
	s.rules.deny(OpDeleteImportedKeyMaterial)
	k := newExternal(t, s.admin)
	m := newImportFixture(t, s.admin, k, ownKey(1)).material()
	m.ValidTo = time.Now().AddDate(0, 0, 1)
	mustImport(t, s.admin, k.ID, m)
	later, once := m, false
	later.ValidTo = m.ValidTo.AddDate(0, 0, 7)
	s.rules.setHook(func(r Request) {
		if r.Principal == "user" && !once {
			once = true
			mustImport(t, s.admin, k.ID, later)
		}
	})
	if _, err := s.user.ImportKeyMaterial(t.Context(), k.ID, m); !errors.Is(err, ErrDenied) {
		t.Errorf("ImportKeyMaterial that shortens what another import made longer: %v, want ErrDenied", err)
	}
	s.rules.setHook(nil)
	if got, err := s.admin.DescribeKey(t.Context(), k.ID); err != nil || !got.ValidTo.Equal(later.ValidTo) {
		t.Errorf("the material is valid to %v, %v, want %v", got.ValidTo, err, later.ValidTo)
	}
}
