package vault

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
)

// TestRecordsNameTheAlgorithm: the record of an operation on a symmetric key names the
// suite. The record of a listing has the number of keys in its detail, not in Count, which
// is for failures.
func TestRecordsNameTheAlgorithm(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, plain := c.Decrypt(ctx, ct, nil)
	_, again := c.ReEncrypt(ctx, ct, "", nil, nil)
	sealed, fresh := c.GenerateDataKeyWithoutPlaintext(ctx, k.ID, 32, nil)
	dk, opened := c.OpenDataKey(ctx, sealed, nil)
	dk.Destroy()
	if err := errors.Join(plain, again, fresh, opened); err != nil {
		t.Fatal(err)
	}
	for _, op := range []Operation{OpEncrypt, OpDecrypt, OpReEncryptFrom, OpReEncryptTo, OpGenerateDataKeyWithoutPlaintext, OpOpenDataKey} {
		if r := lastRecord(t, c, op); r.Algorithm != v.suite.String() || r.KeyVersion != 1 || r.Driver != "soft" {
			t.Errorf("the record is %+v", r)
		}
	}
	for _, err := range c.ListKeys(ctx, KeyFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if r := lastRecord(t, c, OpListKeys); r.Count != 0 || r.Detail["keys"] != "1" {
		t.Errorf("the record of ListKeys is %+v", r)
	}
}

// TestMoveOutcomesNameTheirIntent: both outcome records of a move name their intent.
func TestMoveOutcomesNameTheirIntent(t *testing.T) {
	v, _, _, _ := newMoveVault(t)
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	if _, err := c.MoveKey(t.Context(), k.ID, "hsm"); err != nil {
		t.Fatal(err)
	}
	var intent uint64
	outcomes := 0
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{Operation: string(OpMoveKey)}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Phase == audit.Intent {
			intent = r.Seq
			continue
		}
		if outcomes++; r.Intent != intent || intent == 0 {
			t.Errorf("the outcome %+v names intent %d, want %d", r.Detail, r.Intent, intent)
		}
	}
	if outcomes != 2 {
		t.Errorf("%d outcomes are recorded, want 2", outcomes)
	}
}

// TestReservedPrincipals: a principal with a name that is reserved for the vault itself is
// denied.
func TestReservedPrincipals(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(allowEveryone)
	v, _ := newTestVault(t, cfg)
	for _, name := range []Principal{principalVault, principalMany} {
		if _, err := v.As(name).GenerateRandom(t.Context(), 1); !errors.Is(err, ErrDenied) {
			t.Errorf("GenerateRandom as %s: %v, want ErrDenied", name, err)
		}
	}
}

// TestCacheIsBounded: a cache of records does not grow beyond its limit, and keeps the
// newest entry.
func TestCacheIsBounded(t *testing.T) {
	var kept cache[int]
	for n := range 3 * recordsKept {
		kept.put(fmt.Sprint(n), n)
		if got, there := kept.get(fmt.Sprint(n)); !there || got != n || len(kept.all) > recordsKept {
			t.Fatalf("the cache has %d entries, or not the newest", len(kept.all))
		}
	}
}

// TestRecordsNameTheProtectors: the audit log names every protector that the vault ever
// had.
func TestRecordsNameTheProtectors(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	for _, op := range []Operation{OpCreateVault, OpRotateRoot} {
		if op == OpRotateRoot {
			if err := c.RotateRoot(ctx, passphrase(t, "one"), passphrase(t, "correct horse")); err != nil {
				t.Fatal(err)
			}
		}
		protectors, err := c.ListProtectors(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got := lastRecord(t, c, op).Detail["protectors"]
		for _, p := range protectors {
			if !strings.Contains(got, p.ID+" "+p.Kind) {
				t.Errorf("%s: the recorded protectors %q do not name %s", op, got, p.ID)
			}
		}
		if n := strings.Count(got, ",") + 1; n != len(protectors) {
			t.Errorf("%s: the recorded protectors are %q; the vault has %d", op, got, len(protectors))
		}
	}
}

// TestFailedOutcomeHasRequestID: a failed outcome has the request id, reason and rule of its
// intent.
func TestFailedOutcomeHasRequestID(t *testing.T) {
	v, faulty, _, _ := newDeviceVault(t)
	c := v.As(DefaultOwner)
	faulty.Add(drivertest.Fault{Method: drivertest.MethodGenerateKey, Fail: true, Class: driver.Denied})
	ctx := WithReason(WithRequestID(t.Context(), "request-1"), "because")
	if _, err := c.CreateKey(ctx, KeyOptions{}); !errors.Is(err, ErrUnavailable) {
		t.Fatal(err)
	}
	n := 0
	for r, err := range c.AuditRecords(t.Context(), audit.Filter{Operation: string(OpCreateKey)}) {
		n++
		if err != nil || r.RequestID != "request-1" || r.Reason != "because" || r.Decision != "ALLOW" || r.Rule != "owner" || r.Principal != string(DefaultOwner) {
			t.Errorf("the record is %+v, error %v", r, err)
		}
		if r.Phase == audit.Outcome && (r.Result != audit.Failed || r.Error != "UNAVAILABLE" || r.Detail["material"] == "" || r.Intent == 0) {
			t.Errorf("the failed outcome is %+v", r)
		}
	}
	if n != 2 {
		t.Errorf("%d records, want 2", n)
	}
}
