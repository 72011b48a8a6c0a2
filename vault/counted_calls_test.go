package vault

import (
	"errors"
	"slices"
	"testing"
	"time"

	"strongroom.example/internal/clock"
	"strongroom.example/keystore"
)

// limiterFunc is a Limiter.
type limiterFunc func(Request) time.Duration

func (f limiterFunc) Limit(r Request) time.Duration { return f(r) }

// TestBatchCountsGrants: each CMK of a call for several is a use of the client's grants.
func TestBatchCountsGrants(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	owner, ctx := v.As(DefaultOwner), t.Context()
	var ids []string
	for range 4 {
		ids = append(ids, mustKey(t, owner, KeyOptions{Spec: HMAC256, Usage: GenerateVerifyMac}).ID)
	}
	narrowed, g := mustNarrow(t, owner, Grant{Uses: 3})
	keys, err := narrowed.DescribeKeys(ctx, ids...)
	if described := slices.DeleteFunc(keys, func(k Key) bool { return k.ID == "" }); len(described) != 3 || !errors.Is(err, ErrDenied) {
		t.Errorf("a grant of 3 uses described %d CMKs, error %v; want 3 and ErrDenied", len(described), err)
	}
	if err := narrowed.DisableKeys(ctx, ids[0]); !errors.Is(err, ErrDenied) {
		t.Errorf("DisableKeys after the last use of the grant: %v, want ErrDenied", err)
	}
	if _, err := owner.WithGrant(ctx, g.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("WithGrant of a grant that is used up: %v, want ErrNotFound", err)
	}
}

// TestBatchUsesApprovals: an approval of DisableKey is used up.
func TestBatchUsesApprovals(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = oneApprovalFor(OpDisableKey)
	v, _ := newTestVault(t, cfg)
	owner, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, owner, KeyOptions{})
	approve := func() {
		t.Helper()
		if err := v.As("bob").Approve(ctx, Approval{Operation: OpDisableKey, Key: k.ID}); err != nil {
			t.Fatal(err)
		}
	}
	approve()
	if err := errors.Join(owner.DisableKeys(ctx, k.ID), owner.EnableKeys(ctx, k.ID)); err != nil {
		t.Fatal(err)
	}
	if err := owner.DisableKeys(ctx, k.ID); !errors.Is(err, ErrApproval) {
		t.Errorf("DisableKeys by an approval that is used up: %v, want ErrApproval", err)
	}
	// A failed operation uses none up.
	approve()
	if err := owner.BindResource(ctx, k.ID, "db"); err != nil {
		t.Fatal(err)
	}
	if err := owner.DisableKeys(ctx, k.ID); !errors.Is(err, ErrKeyBound) {
		t.Errorf("DisableKeys of a bound CMK: %v, want ErrKeyBound", err)
	}
	if err := errors.Join(owner.UnbindResource(ctx, k.ID, "db"), owner.DisableKeys(ctx, k.ID)); err != nil {
		t.Errorf("DisableKeys by an approval that a failed call had: %v", err)
	}
}

// TestSecondDecisionUsesApprovals: ReEncrypt uses up the approvals of ReEncryptTo.
func TestSecondDecisionUsesApprovals(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = oneApprovalFor(OpReEncryptTo)
	v, _ := newTestVault(t, cfg)
	owner, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, owner, KeyOptions{})
	ct, err := owner.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.As("bob").Approve(ctx, Approval{Operation: OpReEncryptTo, Key: k.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.ReEncrypt(ctx, ct, "", nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.ReEncrypt(ctx, ct, "", nil, nil); !errors.Is(err, ErrApproval) {
		t.Errorf("ReEncrypt by an approval that is used up: %v, want ErrApproval", err)
	}
}

// TestLimiterSeesEveryOperation: the Limiter limits each CMK of a call for several, and the
// second permission of ReEncrypt. A change of the CMK while the refusal is being recorded does
// not let the operation pass.
func TestLimiterSeesEveryOperation(t *testing.T) {
	cfg := testConfig()
	limit := map[Operation]int{OpDescribeKey: 2, OpReEncryptTo: 0, OpSetDescription: 0}
	var change func()
	cfg.Limiter = limiterFunc(func(r Request) time.Duration {
		n, limited := limit[r.Operation]
		if !limited {
			return 0
		}
		if limit[r.Operation] = n - 1; n > 0 {
			return 0
		}
		if change != nil {
			change()
		}
		return time.Second
	})
	v, _ := newTestVault(t, cfg)
	owner, ctx := v.As(DefaultOwner), t.Context()
	a, b, c := mustKey(t, owner, KeyOptions{}), mustKey(t, owner, KeyOptions{}), mustKey(t, owner, KeyOptions{})
	keys, err := owner.DescribeKeys(ctx, a.ID, b.ID, c.ID)
	if !errors.Is(err, ErrThrottled) || keys[1].ID == "" || keys[2].ID != "" {
		t.Errorf("DescribeKeys above the limit: %v, keys %+v; want ErrThrottled for the third", err, keys)
	}
	ct, err := owner.Encrypt(ctx, a.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.ReEncrypt(ctx, ct, b.ID, nil, nil); !errors.Is(err, ErrThrottled) {
		t.Errorf("ReEncrypt above the limit of ReEncryptTo: %v, want ErrThrottled", err)
	}
	change = func() {
		change = nil
		if err := owner.DisableKeys(ctx, a.ID); err != nil {
			t.Error(err)
		}
	}
	if err := owner.SetDescription(ctx, a.ID, "x"); !errors.Is(err, ErrThrottled) {
		t.Errorf("SetDescription above the limit, while the CMK is disabled: %v, want ErrThrottled", err)
	}
}

// TestApproveNamesGivenKey: a denied approver does not learn which CMK an alias names.
func TestApproveNamesGivenKey(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	mustKey(t, v.As(DefaultOwner), KeyOptions{Alias: "a"})
	err := v.As("mallory").Approve(t.Context(), Approval{Operation: OpDisableKey, Key: "a"})
	var e *Error
	if !errors.As(err, &e) || !errors.Is(err, ErrDenied) || e.Key != "a" {
		t.Errorf("Approve by a denied principal: %v, want ErrDenied for the key a", err)
	}
}

// TestApprovalsAndClock: no clock makes an approval valid for longer than Within, or again
// after it, and a clock in doubt removes neither approvals nor grants.
func TestApprovalsAndClock(t *testing.T) {
	cfg := testConfig()
	start := time.Now()
	now := clock.NewFake(start.AddDate(1, 0, 0))
	cfg.Clock, cfg.Authorizer = now, oneApprovalFor(OpDisableKey)
	v, _ := newTestVault(t, cfg)
	owner, bob, ctx := v.As(DefaultOwner), v.As("bob"), t.Context()
	k := mustKey(t, owner, KeyOptions{})
	approval := Approval{Operation: OpDisableKey, Key: k.ID}
	expect := func(when string, want error) {
		t.Helper()
		if err := owner.DryRun(ctx, OpDisableKey, k.ID, nil); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", when, err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(bob.Approve(ctx, approval))
	now.Advance(2 * time.Hour)
	expect("two hours after the approval", ErrApproval)
	now.Set(start)
	must(owner.SetTimeBack(ctx, start))
	expect("after SetTimeBack", ErrApproval)
	now.Advance(time.Since(start).Truncate(time.Second))
	now.Set(start.AddDate(1, 0, 0))
	must(bob.Approve(ctx, approval)) // by a clock in doubt
	now.Set(start)
	expect("after a clock in doubt was set right", ErrApproval)
	must(bob.Approve(ctx, approval))
	expect("after an approval", nil)
	_, g := mustNarrow(t, owner, Grant{Until: start.AddDate(0, 1, 0)})
	now.Set(start.AddDate(1, 0, 0))
	must(bob.Approve(ctx, Approval{Operation: OpEnableKey, Key: k.ID}))
	must(v.store.Commit(ctx, func(tx *keystore.Tx) error {
		v.removeEndedGrants(tx, v.confirmedNow())
		return nil
	}))
	now.Set(start)
	expect("after a clock in doubt was set right", nil)
	must(second(owner.WithGrant(ctx, g.ID)))
}
