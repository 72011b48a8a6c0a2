package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// tableRules are the policies of the decision table.
var tableRules = policy.Set{
	Cedar: operator + `
@id("app") permit(principal in Group::"apps", action in [Action::"Encrypt", Action::"Decrypt"], resource)
	when { context.encryptionContext.hasTag("tenant") };
@id("auditor") permit(principal == Principal::"auditor", action in Action::"read", resource);
@id("no-old") forbid(principal, action == Action::"Encrypt", resource) when { context.encryptionContext.hasTag("old") };
`,
	Groups: map[string][]vault.Principal{"apps": {"app"}},
}

// mayInTable says independently of Cedar what tableRules allow.
func mayInTable(p vault.Principal, op vault.Operation, ec vault.EncryptionContext) bool {
	_, tenant := ec["tenant"]
	_, old := ec["old"]
	if op == vault.OpEncrypt && old {
		return false
	}
	switch p {
	case "operator":
		return true
	case "app":
		return (op == vault.OpEncrypt || op == vault.OpDecrypt) && tenant
	case "auditor":
		return op == vault.OpDescribeKey
	}
	return false
}

// TestDecisionTable: every combination of principal, operation, state of the key, encryption
// context and grant has the result that the rules say, and one record with the decision.
func TestDecisionTable(t *testing.T) {
	v, _ := newVault(t)
	ctx := t.Context()
	if _, err := v.As(vault.DefaultOwner).CreateKey(ctx, vault.KeyOptions{Alias: "on"}); err != nil {
		t.Fatal(err)
	}
	owner := v.As(vault.DefaultOwner)
	states := map[string]vault.KeyState{"on": vault.Enabled, "off": vault.Disabled, "kept": vault.Archived}
	mustKey(t, owner, vault.KeyOptions{Alias: "off"})
	mustKey(t, owner, vault.KeyOptions{Alias: "kept"})
	contexts := []vault.EncryptionContext{nil, {"tenant": "7"}, {"tenant": "7", "old": "1"}}
	ciphertexts := map[string][]byte{}
	for key := range states {
		for i, ec := range contexts {
			ct, err := owner.Encrypt(ctx, key, []byte("x"), ec)
			if err != nil {
				t.Fatal(err)
			}
			ciphertexts[fmt.Sprint(key, i)] = ct
		}
	}
	if err := errors.Join(owner.DisableKeys(ctx, "off"), owner.ArchiveKey(ctx, "kept")); err != nil {
		t.Fatal(err)
	}
	mustPut(t, owner, policy.Set{Cedar: `permit(principal, action, resource);`}) // so that each principal can make its grants
	grants := map[string]*vault.Grant{"none": nil, "encrypt": {Operations: []vault.Operation{vault.OpEncrypt}}, "tenant": {Context: vault.EncryptionContext{"tenant": "7"}}}
	clients := map[string]vault.Client{}
	principals := []vault.Principal{"operator", "app", "auditor", "stranger"}
	for _, p := range principals {
		for name, g := range grants {
			c := v.As(p)
			if g != nil {
				var err error
				if c, _, err = c.Narrow(ctx, *g); err != nil {
					t.Fatal(err)
				}
			}
			clients[string(p)+name] = c
		}
	}
	mustPut(t, v.As("operator"), tableRules)
	allowed, calls := 0, map[vault.Principal]uint64{}
	for _, p := range principals {
		for grant, g := range grants {
			for key, state := range states {
				for i, ec := range contexts {
					for _, op := range []vault.Operation{vault.OpEncrypt, vault.OpDecrypt, vault.OpDescribeKey} {
						c := clients[string(p)+grant]
						calls[p]++
						var err error
						asked := ec
						switch op {
						case vault.OpEncrypt:
							_, err = c.Encrypt(ctx, key, nil, ec)
						case vault.OpDecrypt:
							_, err = c.Decrypt(ctx, ciphertexts[fmt.Sprint(key, i)], ec)
						default:
							_, err = c.DescribeKey(ctx, key)
							asked = nil
						}
						may := mayInTable(p, op, asked)
						if g != nil {
							_, tenant := asked["tenant"]
							may = may && (len(g.Operations) == 0 || slices.Contains(g.Operations, op)) && (g.Context == nil || tenant)
						}
						want := map[bool]error{false: vault.ErrDenied, true: nil}[may]
						if may && op != vault.OpDescribeKey && (state == vault.Disabled || state == vault.Archived && op == vault.OpEncrypt) {
							want = vault.ErrKeyState
						}
						if want == nil && err != nil || !errors.Is(err, want) {
							t.Errorf("%s, %s of a key %s, context %v, grant %s: %v, want %v", p, op, state, ec, grant, err, want)
						}
						if err == nil {
							allowed++
						}
					}
				}
			}
		}
	}
	recorded := map[vault.Principal]uint64{}
	for r, err := range v.As("operator").AuditRecords(ctx, audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		switch op := vault.Operation(r.Operation); op {
		case vault.OpEncrypt, vault.OpDecrypt, vault.OpDescribeKey, "(several)":
			if r.Decision != "ALLOW" && r.Decision != "DENY" {
				t.Errorf("a record without a decision: %+v", r)
			}
			recorded[vault.Principal(r.Principal)] += max(1, r.Count)
		}
	}
	for _, p := range principals {
		if recorded[p] != calls[p] {
			t.Errorf("%s made %d calls, and %d are on record", p, calls[p], recorded[p])
		}
	}
	if allowed < 20 {
		t.Errorf("%d calls of the table are allowed", allowed)
	}
}

// TestPutPolicyRacesUse: no use is on record after the record of the policies that end its
// permission.
func TestPutPolicyRacesUse(t *testing.T) {
	v, _ := newVault(t)
	ctx, op := t.Context(), v.As("operator")
	with := policy.Set{Cedar: operator + `permit(principal == Principal::"app", action == Action::"Encrypt", resource);`}
	mustPut(t, v.As(vault.DefaultOwner), with)
	k := mustKey(t, op, vault.KeyOptions{})
	for range 5 {
		var used atomic.Int64
		var users sync.WaitGroup
		for range 16 {
			users.Go(func() {
				for {
					if _, err := v.As("app").Encrypt(ctx, k.ID, nil, nil); err != nil {
						if !errors.Is(err, vault.ErrDenied) {
							t.Errorf("Encrypt: %v, want ErrDenied", err)
						}
						return
					}
					used.Add(1)
				}
			})
		}
		for used.Load() < 50 {
			if _, err := op.DescribeKey(ctx, k.ID); err != nil {
				t.Fatal(err)
			}
		}
		mustPut(t, op, policy.Set{Cedar: operator})
		users.Wait()
		mustPut(t, op, with)
	}
	may := false
	for r, err := range op.AuditRecords(ctx, audit.Filter{Result: audit.OK}) {
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Operation == string(vault.OpPutPolicy):
			may = !may
		case r.Operation == string(vault.OpEncrypt) && !may:
			t.Fatalf("record %d is a use after the policies were replaced", r.Seq)
		}
	}
}

// TestDeniedCalls: many denied calls of one principal take little of the log, are all
// counted, and hide no other principal's record.
func TestDeniedCalls(t *testing.T) {
	v, _ := newVault(t)
	ctx := t.Context()
	mustPut(t, v.As(vault.DefaultOwner), tableRules)
	op := v.As("operator")
	k := mustKey(t, op, vault.KeyOptions{})
	calls := heavy.Count(t, "STRONGROOM_DENIED_CALLS", 50_000)
	before := exported(t, op)
	for i := range calls {
		if _, err := v.As("mallory").Encrypt(ctx, k.ID, nil, nil); !errors.Is(err, vault.ErrDenied) {
			t.Fatal(err)
		}
		if i == calls/2 {
			if _, err := v.As("bob").Decrypt(ctx, make([]byte, vault.Overhead), nil); !errors.Is(err, vault.ErrDenied) {
				t.Fatal(err)
			}
		}
	}
	counted := map[string]uint64{}
	for r, err := range op.AuditRecords(ctx, audit.Filter{Result: audit.Refused}) {
		if err != nil {
			t.Fatal(err)
		}
		counted[r.Principal] += max(1, r.Count)
		if r.Principal == "bob" && (r.Operation != string(vault.OpDecrypt) || r.Count > 1) {
			t.Errorf("the record of the other principal is %+v", r)
		}
	}
	if counted["mallory"] != uint64(calls) || counted["bob"] != 1 {
		t.Errorf("on record are %v refusals, want %d by mallory and 1 by bob", counted, calls)
	}
	grown := exported(t, op) - before
	t.Logf("%d denied calls grew the export by %d bytes", calls, grown)
	if grown >= 1<<20 {
		t.Errorf("%d denied calls grew the log by %d bytes", calls, grown)
	}
}

// exported returns the length of an export of the log.
func exported(t *testing.T, c vault.Client) (n counter) {
	t.Helper()
	if err := c.ExportAudit(t.Context(), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

type counter int

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}
