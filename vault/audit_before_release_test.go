package vault

import (
	"errors"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/keystore"
)

// TestFailureNeedsRecord: operations that only return information return nothing if
// the log cannot be written.
func TestFailureNeedsRecord(t *testing.T) {
	x, v := newCrashFixture(t, 1)
	c, ctx := v.As(DefaultOwner), t.Context()
	pair := mustKey(t, c, KeyOptions{Spec: ECCP256})
	x.engine.Fault(func(keystore.Batch) error { return errors.New("disk is gone") })
	if k, err := c.DescribeKey(ctx, x.destroyed.ID); err == nil || k.ID != "" {
		t.Errorf("DescribeKey: %v, %v", k, err)
	}
	if l, err := c.DescribeKeys(ctx, x.destroyed.ID); err == nil || l != nil {
		t.Errorf("DescribeKeys: %v, %v", l, err)
	}
	if l, err := c.ListKeyVersions(ctx, x.destroyed.ID); err == nil || l != nil {
		t.Errorf("ListKeyVersions: %v, %v", l, err)
	}
	if l, err := c.ListProtectors(ctx); err == nil || l != nil {
		t.Errorf("ListProtectors: %v, %v", l, err)
	}
	if p, err := c.AddProtector(ctx, passphrase(t, "p"), passphrase(t, "q")); err == nil || p != (Protector{}) {
		t.Errorf("AddProtector: %v, %v", p, err)
	}
	if p, err := c.PublicKey(ctx, pair.ID); err == nil || p.DER != nil {
		t.Errorf("PublicKey: %v, %v", p, err)
	}
	for k, err := range c.ListKeys(ctx, KeyFilter{}) {
		if err == nil || k.ID != "" {
			t.Errorf("ListKeys: %v, %v", k, err)
		}
	}
	for r, err := range c.AuditRecords(ctx, audit.Filter{}) {
		if err == nil || r.Operation != "" {
			t.Errorf("AuditRecords: %v, %v", r, err)
		}
	}
	x.engine.Fault(nil)
	v.Close()
}

// TestResultsBelongToCaller: a caller's changes to a result have no effect on later results,
// nor on the requests to an Authorizer.
func TestResultsBelongToCaller(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{Spec: ECCP256, Tags: map[string]string{"team": "red"}})
	if _, err := c.DescribeKey(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	told, err := c.DescribeKey(ctx, k.ID)
	if err != nil {
		t.Fatal(err)
	}
	told.Tags["team"] = "blue"
	for listed, err := range c.ListKeys(ctx, KeyFilter{}) {
		if err != nil || listed.Tags["team"] != "red" {
			t.Errorf("ListKeys: tags %v, error %v", listed.Tags, err)
		}
		listed.Tags["team"] = "blue"
	}
	if again, err := c.DescribeKey(ctx, k.ID); err != nil || again.Tags["team"] != "red" {
		t.Errorf("DescribeKey: tags %v, error %v", again.Tags, err)
	}
	p, err := c.PublicKey(ctx, k.ID)
	if err != nil {
		t.Fatal(err)
	}
	clear(p.DER)
	if p, err = c.PublicKey(ctx, k.ID); err != nil || p.DER[0] == 0 {
		t.Errorf("PublicKey: %x, error %v", p.DER, err)
	}
}
