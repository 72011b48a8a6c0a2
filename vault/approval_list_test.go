package vault

import (
	"errors"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/internal/clock"
)

// TestListAndWithdrawApprovals: pending approvals are listed with their ends, and each principal
// withdraws its own. Only a principal that may change the policies withdraws those of others.
func TestListAndWithdrawApprovals(t *testing.T) {
	cfg := testConfig()
	now := clock.NewFake(time.Now())
	cfg.Clock = now
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		d := Decision{Allow: r.Operation != OpPutPolicy || r.Principal == "chief", Rule: "test"}
		if r.Operation == OpDisableKey {
			d.Approvals = 1
		}
		return d, nil
	})
	v, _ := newTestVault(t, cfg)
	ctx, alice, bob := t.Context(), v.As("alice"), v.As("bob")
	k := mustKey(t, alice, KeyOptions{Alias: "k"})
	disable, remove := Approval{Operation: OpDisableKey, Key: "k"}, Approval{Operation: OpRemoveProtector, Subject: "p"}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	list := func(n int) map[Operation]PendingApproval {
		t.Helper()
		all, err := alice.ListApprovals(ctx)
		if err != nil || len(all) != n {
			t.Fatalf("ListApprovals: %+v, %v, want %d", all, err, n)
		}
		out := map[Operation]PendingApproval{}
		for _, a := range all {
			out[a.Operation] = a
		}
		return out
	}
	list(0)
	must(bob.Approve(ctx, disable))
	now.Advance(time.Minute)
	must(v.As("carol").Approve(ctx, remove))
	all := list(2)
	if a := all[OpDisableKey]; a.Principal != "bob" || a.Key != k.ID || !a.Until.Equal(a.Time.Add(maxWithin)) || !a.Time.Equal(now.Now().Add(-time.Minute)) {
		t.Errorf("the first approval is %+v", a)
	}
	if a := all[OpRemoveProtector]; a.Principal != "carol" || a.Subject != "p" || a.Key != "" {
		t.Errorf("the second approval is %+v", a)
	}
	for name, err := range map[string]error{
		"another's approval":                   bob.WithdrawApproval(ctx, all[OpRemoveProtector].ID),
		"an approval of another that is not":   bob.WithdrawApproval(ctx, all[OpRemoveProtector].ID[:33]+all[OpRemoveProtector].ID[:32]),
		"a path":                               bob.WithdrawApproval(ctx, "../"+grants),
		"one below a grant for something else": narrowedTo(t, bob, OpListApprovals).WithdrawApproval(ctx, all[OpDisableKey].ID),
	} {
		if !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v, want ErrDenied", name, err)
		}
	}
	must(bob.WithdrawApproval(ctx, all[OpDisableKey].ID))
	if err := bob.WithdrawApproval(ctx, all[OpDisableKey].ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("withdrawing an approval twice: %v, want ErrNotFound", err)
	}
	if err := alice.DisableKeys(ctx, k.ID); !errors.Is(err, ErrApproval) {
		t.Errorf("an operation whose approval was withdrawn: %v, want ErrApproval", err)
	}
	must(v.As("chief").WithdrawApproval(ctx, all[OpRemoveProtector].ID))
	r := lastRecord(t, alice, OpWithdrawApproval)
	if r.Principal != "chief" || r.Result != audit.OK || r.Detail["approver"] != "carol" || r.Detail["approved"] != string(OpRemoveProtector) || r.Detail["subject"] != "p" {
		t.Errorf("the record of WithdrawApproval is %+v", r)
	}
	must(bob.Approve(ctx, disable))
	now.Advance(maxWithin)
	list(1)
	now.Advance(time.Second)
	list(0)
}

// narrowedTo returns a client that is limited to some operations.
func narrowedTo(t *testing.T, c Client, ops ...Operation) Client {
	t.Helper()
	narrowed, _ := mustNarrow(t, c, Grant{Operations: ops})
	return narrowed
}

// TestRestorationRemovesApprovals: the approvals of a backup leave room for those of the
// restoration.
func TestRestorationRemovesApprovals(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(allowEveryone)
	v, _ := newTestVault(t, cfg)
	c := v.As(DefaultOwner)
	if err := c.Approve(t.Context(), Approval{Operation: OpDisableKey}); err != nil {
		t.Fatal(err)
	}
	backup, _ := testBackup(t, c, "")
	restored, err := testRestore(t, backup)
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, restored)
	if left := restored.store.Paths(approvals); len(left) != 0 {
		t.Errorf("the restored vault has the approvals %q", left)
	}
}
