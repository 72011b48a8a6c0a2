package vaultsuite

import (
	"context"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/decisions"
	"strongroom.example/vault"
)

// countedOwner decides as a vault without an Authorizer does, and counts its decisions.
type countedOwner struct {
	owner   vault.Principal
	counter *decisions.Counter
}

// Authorize allows the owner everything.
func (a countedOwner) Authorize(_ context.Context, r vault.Request) (vault.Decision, error) {
	allow := r.Principal == a.owner
	a.counter.Decided(string(r.Principal), string(r.Operation), allow)
	return vault.Decision{Allow: allow, Rule: "owner"}, nil
}

// counted returns cfg with an Authorizer that counts its decisions.
func (x *home) counted(cfg vault.Config) vault.Config {
	cfg.Authorizer = countedOwner{x.ownerName(), x.decisions}
	return cfg
}

// unrecorded returns the decisions that are not on record. It reads the log twice, because the
// first reading does not find its own record.
func (x *home) unrecorded(t *testing.T) []string {
	t.Helper()
	var log decisions.Log
	for range 2 {
		log = decisions.Log{}
		for r, err := range x.owner().AuditRecords(context.Background(), audit.Filter{}) {
			if err != nil {
				t.Errorf("AuditRecords: %v", err)
				return nil
			}
			log.Add(r)
		}
	}
	return x.decisions.Missing(&log)
}
