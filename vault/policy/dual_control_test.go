package policy_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
	"strongroom.example/vault/vaulttest"
)

// dualControl lets operators do everything that destroys only with approvals of others.
var dualControl = policy.Set{
	Cedar: `
@id("two-persons") @approvals("2") @within("30m") permit(principal in Group::"operators", action in [Action::"ScheduleKeyDeletion",
	Action::"DeleteImportedKeyMaterial", Action::"RemoveProtector", Action::"PutPolicy", Action::"RestoreVault"], resource);
@id("operators") permit(principal in Group::"operators", action, resource) unless { action in [Action::"ScheduleKeyDeletion",
	Action::"DeleteImportedKeyMaterial", Action::"RemoveProtector", Action::"PutPolicy", Action::"RestoreVault"] };
`,
	Groups: map[string][]vault.Principal{"operators": {"alice", "bob", "carol", "owner"}},
}

// denied returns whether an error is that of missing approvals.
func denied(err error) bool {
	return errors.Is(err, vault.ErrApproval) && errors.Is(err, vault.ErrDenied)
}

// TestDualControl: each operation under dual control needs the approvals of two other
// principals within the time, for just this operation, and uses them up.
func TestDualControl(t *testing.T) {
	clock := vaulttest.NewClock(time.Now())
	dir := filepath.Join(t.TempDir(), "vault")
	v, err := vault.Create(t.Context(), dir, vault.Config{Policies: policy.Cedar{}, Clock: clock}, protector())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	ctx, owner := t.Context(), v.As(vault.DefaultOwner)
	mustPut(t, owner, dualControl)
	alice := v.As("alice")
	k := mustKey(t, alice, vault.KeyOptions{Alias: "k"})
	other := mustKey(t, alice, vault.KeyOptions{})
	if err := alice.DisableKeys(ctx, k.ID, other.ID); err != nil {
		t.Fatal(err)
	}
	second := soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("second"))
	added, err := alice.AddProtector(ctx, protector(), second)
	if err != nil {
		t.Fatal(err)
	}
	next := policy.Set{Cedar: dualControl.Cedar + "// changed\n", Groups: dualControl.Groups}
	for _, c := range []struct {
		name     string
		do       func() error
		approval vault.Approval
		wrong    vault.Approval
	}{
		{"destruction", func() error { _, err := alice.ScheduleKeyDeletion(ctx, "k", 7); return err },
			vault.Approval{Operation: vault.OpScheduleKeyDeletion, Key: "k", Subject: "7"}, vault.Approval{Operation: vault.OpScheduleKeyDeletion, Key: other.ID, Subject: "7"}},
		{"protector", func() error { return alice.RemoveProtector(ctx, added.ID) },
			vault.Approval{Operation: vault.OpRemoveProtector, Subject: added.ID}, vault.Approval{Operation: vault.OpRemoveProtector, Subject: "another"}},
		{"policies", func() error { _, err := policy.Put(ctx, alice, next); return err },
			vault.Approval{Operation: vault.OpPutPolicy, Subject: v.PolicyDigest(next.Encode())}, vault.Approval{Operation: vault.OpPutPolicy}},
	} {
		refused := func(why string) {
			t.Helper()
			if err := c.do(); !denied(err) {
				t.Errorf("%s %s: %v, want ErrApproval", c.name, why, err)
			}
		}
		approve := func(by vault.Principal, a vault.Approval) {
			t.Helper()
			if err := v.As(by).Approve(ctx, a); err != nil {
				t.Fatal(err)
			}
		}
		refused("without approvals")
		approve("bob", c.wrong)
		approve("carol", c.wrong)
		refused("with approvals of something else")
		approve("alice", c.approval)
		approve("bob", c.approval)
		approve("bob", c.approval)
		refused("with the approvals of the caller and of one principal twice")
		clock.Advance(31 * time.Minute)
		approve("carol", c.approval)
		refused("with one approval that is too old")
		if err := v.As("mallory").Approve(ctx, c.approval); !errors.Is(err, vault.ErrDenied) {
			t.Errorf("an approval by a principal that may not approve: %v, want ErrDenied", err)
		}
		approve("bob", c.approval)
		if err := c.do(); err != nil {
			t.Errorf("%s with two approvals: %v", c.name, err)
			continue
		}
		var last audit.Record
		for r, err := range alice.AuditRecords(ctx, audit.Filter{Operation: string(c.approval.Operation), Result: audit.OK}) {
			if err != nil {
				t.Fatal(err)
			}
			last = r
		}
		if last.Rule != "two-persons approved by bob, carol" || last.Principal != "alice" {
			t.Errorf("the record of %s is %+v", c.name, last)
		}
		if c.name == "destruction" {
			if err := errors.Join(alice.CancelKeyDeletion(ctx, "k")); err != nil {
				t.Fatal(err)
			}
		}
		if c.name != "protector" { // it is gone
			refused("a second time")
		}
	}
	if err := alice.Check(ctx); err != nil {
		t.Error(err)
	}
}

// TestApprovalsAreUsedOnce: of many concurrent operations with one set of approvals one
// succeeds.
func TestApprovalsAreUsedOnce(t *testing.T) {
	v, _ := newVault(t)
	ctx := t.Context()
	mustPut(t, v.As(vault.DefaultOwner), policy.Set{
		Cedar:  `@approvals("1") permit(principal, action == Action::"TagKey", resource); permit(principal, action, resource) unless { action == Action::"TagKey" };`,
		Groups: nil,
	})
	k := mustKey(t, v.As("alice"), vault.KeyOptions{})
	for range 5 {
		if err := v.As("bob").Approve(ctx, vault.Approval{Operation: vault.OpTagKey, Key: k.ID}); err != nil {
			t.Fatal(err)
		}
		var done atomic.Int64
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				switch err := v.As("alice").TagKey(ctx, k.ID, map[string]string{"a": "b"}); {
				case err == nil:
					done.Add(1)
				case !denied(err):
					t.Errorf("TagKey: %v, want ErrApproval", err)
				}
			})
		}
		all.Wait()
		if n := done.Load(); n != 1 {
			t.Errorf("%d operations with one approval, want 1", n)
		}
	}
}

// TestRestoreNeedsApprovals: a restored vault refuses its use, after a restart too, until two
// principals have approved in time. Approvals that came with the backup do not count.
func TestRestoreNeedsApprovals(t *testing.T) {
	clock := vaulttest.NewClock(time.Now())
	cfg := vault.Config{Policies: policy.Cedar{}, Clock: clock}
	ctx, dirs := t.Context(), t.TempDir()
	v, err := vault.Create(ctx, filepath.Join(dirs, "original"), cfg, protector())
	if err != nil {
		t.Fatal(err)
	}
	mustPut(t, v.As(vault.DefaultOwner), dualControl)
	mustKey(t, v.As("alice"), vault.KeyOptions{Alias: "k"})
	approval := vault.Approval{Operation: vault.OpRestoreVault}
	if err := v.As("alice").Approve(ctx, approval); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("approving a restoration of a vault that was not restored: %v, want ErrNotFound", err)
	}
	var backup bytes.Buffer
	if _, err := v.As("alice").Backup(ctx, &backup, vault.BackupOptions{}, protector()); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	restore := func(name string) *vault.Vault {
		t.Helper()
		v, err := vault.Restore(ctx, filepath.Join(dirs, name), cfg, []io.Reader{bytes.NewReader(backup.Bytes())}, protector(), protector())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	use := func(v *vault.Vault) error {
		_, err := v.As("alice").Encrypt(ctx, "k", []byte("x"), nil)
		return err
	}
	v = restore("late")
	clock.Advance(31 * time.Minute)
	if err := v.As("alice").Approve(ctx, approval); !denied(err) {
		t.Errorf("an approval that is too late: %v, want ErrApproval", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v = restore("in time")
	for _, by := range []vault.Principal{"owner", "alice", "bob"} {
		if err := use(v); !denied(err) || !strings.Contains(err.Error(), "restored") {
			t.Errorf("before the approval of %s: %v, want ErrApproval", by, err)
		}
		if err := v.As(by).Approve(context.WithoutCancel(ctx), approval); err != nil {
			t.Fatal(err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		if v, err = vault.Open(ctx, filepath.Join(dirs, "in time"), cfg, protector()); err != nil {
			t.Fatal(err)
		}
		defer v.Close()
	}
	if err := use(v); err != nil {
		t.Errorf("after two approvals by others than the owner: %v", err)
	}
}

// TestApprovalsMustBePossible: policies are rejected if too few principals could approve the
// next ones.
func TestApprovalsMustBePossible(t *testing.T) {
	v, _ := newVault(t)
	few := dualControl
	few.Groups = map[string][]vault.Principal{"operators": {"alice", "bob"}}
	if _, err := policy.Put(t.Context(), v.As(vault.DefaultOwner), few); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("two approvals where one other principal can approve: %v, want ErrInvalid", err)
	}
	for _, bad := range []string{`@approvals("0")`, `@approvals("x")`, `@approvals("17")`, `@within("1h")`, `@approvals("1") @within("169h")`, `@approvals("1") @within("-1s")`, `@subject("any")`, `@approvals("1") @subject("all")`} {
		if _, err := policy.Put(t.Context(), v.As(vault.DefaultOwner), policy.Set{Cedar: operator + bad + "permit(principal, action, resource);"}); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", bad, err)
		}
	}
	if _, err := policy.Put(t.Context(), v.As(vault.DefaultOwner), policy.Set{Cedar: operator + `@approvals("1") forbid(principal, action == Action::"Sign", resource);`}); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("approvals of what is forbidden: %v, want ErrInvalid", err)
	}
}
