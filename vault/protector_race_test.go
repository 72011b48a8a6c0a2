package vault

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"strongroom.example/driver"
)

// mutatingProtector is a protector that calls meanwhile once, during its own work.
type mutatingProtector struct {
	driver.Protector
	meanwhile func() error
	err       error
}

func (m *mutatingProtector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	if f := m.meanwhile; f != nil {
		m.meanwhile = nil
		m.err = f()
	}
	return m.Protector.Protect(ctx, b, root)
}

// TestProtectorChangeConflict: a protector that is removed while another is added stays
// removed, and concurrent additions are not lost.
func TestProtectorChangeConflict(t *testing.T) {
	ctx, dir := t.Context(), filepath.Join(t.TempDir(), "v")
	one, two := passphrase(t, "one"), passphrase(t, "two")
	v, err := Create(ctx, dir, testConfig(), one, two)
	if err != nil {
		t.Fatal(err)
	}
	c := v.As(DefaultOwner)
	list, err := c.ListProtectors(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := &mutatingProtector{Protector: passphrase(t, "three"), meanwhile: func() error {
		_, err := c.AddProtector(ctx, one, passphrase(t, "four"))
		return errors.Join(err, c.RemoveProtector(ctx, list[1].ID))
	}}
	if _, err := c.AddProtector(ctx, one, m); err != nil || m.err != nil {
		t.Fatal(err, m.err)
	}
	closeChecked(t, v)
	for text, want := range map[string]error{"one": nil, "two": ErrUnlock, "three": nil, "four": nil} {
		v, err := Open(ctx, dir, testConfig(), passphrase(t, text))
		if !errors.Is(err, want) {
			t.Errorf("opened by %s: %v, want %v", text, err, want)
		}
		if err == nil {
			closeChecked(t, v)
		}
	}
}

// TestConcurrentProtectorChanges: of several protectors that are added concurrently, none
// is lost.
func TestConcurrentProtectorChanges(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	var adding sync.WaitGroup
	for range 6 {
		adding.Go(func() {
			if _, err := c.AddProtector(ctx, passphrase(t, "correct horse"), passphrase(t, "more")); err != nil {
				t.Error(err)
			}
		})
	}
	adding.Wait()
	if list, err := c.ListProtectors(ctx); err != nil || len(list) != 7 {
		t.Errorf("ListProtectors: %d protectors, error %v, want 7", len(list), err)
	}
}

// TestRootChangeConflict: a protector of the former root must not replace those of the
// new root, because then no protector would open the vault.
func TestRootChangeConflict(t *testing.T) {
	ctx := t.Context()
	v, dir := newTestVault(t, testConfig())
	c, old := v.As(DefaultOwner), passphrase(t, "correct horse")
	m := &mutatingProtector{Protector: passphrase(t, "other"), meanwhile: func() error {
		if _, err := c.AddProtector(ctx, old, passphrase(t, "new")); err != nil {
			return err
		}
		return c.RotateRoot(ctx, passphrase(t, "new"))
	}}
	if _, err := c.AddProtector(ctx, old, m); !errors.Is(err, ErrUnlock) || m.err != nil {
		t.Errorf("AddProtector: %v, want %v; the interference: %v", err, ErrUnlock, m.err)
	}
	closeChecked(t, v)
	v, err := Open(ctx, dir, testConfig(), passphrase(t, "new"))
	if err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
}
