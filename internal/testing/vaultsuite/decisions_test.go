package vaultsuite

import (
	"testing"

	"strongroom.example/internal/testing/decisions"
	"strongroom.example/vault"
)

// TestDecisionsAreCounted: a decision that is not on record is detected, before and after a
// restart.
func TestDecisionsAreCounted(t *testing.T) {
	x := newHome(t, Harness{}, vault.Config{})
	for range 2 {
		_, _ = x.vault.As("mallory").GenerateRandom(t.Context(), 1)
		if missing := x.unrecorded(t); len(missing) != 0 {
			t.Errorf("%q are not on record, want none", missing)
		}
		x.reopen(t)
	}
	for _, p := range []vault.Principal{vault.DefaultOwner, "mallory"} {
		if _, err := x.counted(x.cfg).Authorizer.Authorize(t.Context(), vault.Request{Principal: p, Operation: vault.OpSign}); err != nil {
			t.Fatal(err)
		}
	}
	if missing := x.unrecorded(t); len(missing) != 2 {
		t.Errorf("%q are not on record, want the two that have no record", missing)
	}
	x.decisions = decisions.New()
}
