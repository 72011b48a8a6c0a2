package vault

import (
	"context"
	"path/filepath"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/decisions"
)

// countedAuthorizer counts the decisions of an Authorizer, which closeChecked compares with the
// audit log.
type countedAuthorizer struct {
	Authorizer
	counter *decisions.Counter
}

func (a countedAuthorizer) Authorize(ctx context.Context, r Request) (Decision, error) {
	d, err := a.Authorizer.Authorize(ctx, r)
	a.counter.Decided(string(r.Principal), string(r.Operation), d.Allow && err == nil)
	return d, err
}

// countDecisions returns cfg with an Authorizer that counts.
func countDecisions(cfg Config) Config {
	if cfg.Policies != nil {
		return cfg // package policy counts those
	}
	if cfg.Authorizer == nil {
		owner := cfg.Owner
		if owner == "" {
			owner = DefaultOwner
		}
		cfg.Authorizer = ownerOnly{owner}
	}
	if _, counted := cfg.Authorizer.(countedAuthorizer); !counted {
		cfg.Authorizer = countedAuthorizer{cfg.Authorizer, decisions.New()}
	}
	return cfg
}

// checkDecisions checks that each counted decision is on record.
func checkDecisions(t testing.TB, v *Vault) {
	t.Helper()
	a, counted := v.cfg.Authorizer.(countedAuthorizer)
	if !counted {
		return
	}
	for _, missing := range missingDecisions(t, v, a.counter) {
		t.Errorf("not on record: %s", missing)
	}
	if apart := a.counter.Apart(); len(apart) > 0 && testing.Verbose() {
		t.Logf("decisions without a record of their own, by design: %v", apart)
	}
}

// missingDecisions returns the counted decisions that are not on record. It returns none for a
// vault that is closed, that failed, or whose log was cut.
func missingDecisions(t testing.TB, v *Vault, c *decisions.Counter) []string {
	t.Helper()
	if v.enter() != nil {
		return nil
	}
	defer v.leave()
	if v.store.Failed() != nil || v.store.LogFirst().Size > 0 {
		return nil
	}
	v.writeCounts(v.failures.All())
	l := &decisions.Log{}
	for e, err := range v.store.LogRange(context.Background(), 0, v.store.LogState().Size) {
		if err != nil {
			t.Errorf("reading the log: %v", err)
			return nil
		}
		r, err := audit.ParseRecord(e.Leaf)
		if err != nil {
			t.Error(err)
			return nil
		}
		l.Add(r)
	}
	return c.Missing(l)
}

// TestUnrecordedDecisionIsFound: a decision that is not on record is found when a test closes
// its vault.
func TestUnrecordedDecisionIsFound(t *testing.T) {
	cfg := countDecisions(testConfig())
	v, err := Create(t.Context(), filepath.Join(t.TempDir(), "vault"), cfg, passphrase(t, "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	counter := cfg.Authorizer.(countedAuthorizer).counter
	for _, c := range []Client{v.As(DefaultOwner), v.As("mallory")} {
		_, _ = c.GenerateRandom(t.Context(), 1)
		for range c.ListKeys(t.Context(), KeyFilter{}) {
		}
	}
	if missing := missingDecisions(t, v, counter); len(missing) != 0 {
		t.Errorf("%q are missing, want none", missing)
	}
	for _, p := range []Principal{DefaultOwner, "mallory"} {
		_, _ = v.cfg.Authorizer.Authorize(t.Context(), Request{Principal: p, Operation: OpSign})
	}
	if missing := missingDecisions(t, v, counter); len(missing) != 2 {
		t.Errorf("%q are missing, want the two that have no record", missing)
	}
}
