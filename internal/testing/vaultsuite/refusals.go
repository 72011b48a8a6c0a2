package vaultsuite

import (
	"errors"
	"testing"

	"strongroom.example/vault"
)

// refusals: a call by an unauthorized principal, with a key of another usage, or with a
// disabled key is refused. Each has its own error, and the device is not called.
func refusals(t *testing.T, s *subject) {
	x := s.shared
	for _, r := range s.each() {
		m := s.sample(t, x, r)
		before := x.calls()
		s.refusesStrangers(t, m)
		for _, a := range acts() {
			if a.usage == r.usage || !a.named || a.op == vault.OpPublicKey {
				continue
			}
			if err := a.run(t.Context(), x.owner(), m); !errors.Is(err, vault.ErrUsage) {
				t.Errorf("%s by a key of %s: %v, want ErrUsage", a.op, r, err)
			}
		}
		s.refusesDisabled(t, m)
		if n := x.calls() - before; n != 0 {
			t.Errorf("%s: %d device calls for refused operations, want 0", r, n)
		}
		for _, a := range actsOf(r.usage) {
			if err := a.run(t.Context(), x.owner(), m); err != nil {
				t.Errorf("%s after EnableKeys: %v", a.op, err)
			}
		}
	}
	if _, err := x.vault.As("mallory").CreateKey(t.Context(), vault.KeyOptions{}); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("CreateKey by an unauthorized principal: %v, want ErrDenied", err)
	}
}

func (s *subject) refusesStrangers(t *testing.T, m keySample) {
	t.Helper()
	for _, a := range actsOf(m.usage) {
		for name, c := range map[string]vault.Client{"a stranger": s.shared.vault.As("mallory"), "nobody": s.shared.vault.As(""), "the zero client": {}} {
			if err := a.run(t.Context(), c, m); !errors.Is(err, vault.ErrDenied) {
				t.Errorf("%s by %s: %v, want ErrDenied", a.op, name, err)
			}
		}
	}
}

func (s *subject) refusesDisabled(t *testing.T, m keySample) {
	t.Helper()
	c := s.shared.owner()
	if err := c.DisableKeys(t.Context(), m.key.ID); err != nil {
		t.Fatal(err)
	}
	for _, a := range actsOf(m.usage) {
		err := a.run(t.Context(), c, m)
		var told *vault.Error
		if !errors.Is(err, vault.ErrKeyState) || !errors.As(err, &told) || told.State != vault.Disabled || told.Key != m.key.ID {
			t.Errorf("%s of a disabled key: %v, want ErrKeyState", a.op, err)
		}
	}
	if err := c.EnableKeys(t.Context(), m.key.ID); err != nil {
		t.Fatal(err)
	}
}
