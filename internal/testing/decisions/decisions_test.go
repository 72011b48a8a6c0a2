package decisions_test

import (
	"testing"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/decisions"
)

// TestMissing: each denial needs a record, and each kind of decision that allows needs one.
func TestMissing(t *testing.T) {
	c, l := decisions.New(), &decisions.Log{}
	c.Decided("p", "Encrypt", true)
	c.Decided("p", "Encrypt", true)
	c.Decided("p", "Sign", false)
	c.Decided("p", "Sign", false)
	if got := c.Missing(l); len(got) != 2 {
		t.Errorf("without records %q are missing, want both kinds", got)
	}
	l.Add(audit.Record{Principal: "p", Operation: "Encrypt", Decision: "ALLOW"})
	l.Add(audit.Record{Principal: "p", Operation: "Sign", Decision: "DENY"})
	l.Add(audit.Record{Principal: "other", Operation: "Sign", Decision: "DENY"})
	if got := c.Missing(l); len(got) != 1 {
		t.Errorf("with one denial of two on record %q are missing", got)
	}
	l.Add(audit.Record{Principal: "p", Operation: "DryRun", Decision: "DENY", Detail: map[string]string{"operation": "Sign"}})
	if got := c.Missing(l); len(got) != 0 {
		t.Errorf("with all on record %q are missing", got)
	}
	if apart := c.Apart(); len(apart) != 0 {
		t.Errorf("%v have no record by design", apart)
	}
}
