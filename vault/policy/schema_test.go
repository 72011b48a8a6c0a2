package policy_test

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema"

	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// recordedOnly are the operations that the vault records and asks no Authorizer for.
var recordedOnly = []vault.Operation{
	vault.OpCreateVault, vault.OpOpenVault, vault.OpCloseVault, vault.OpExpireKeyMaterial, vault.OpExpireImportToken, vault.OpDestroyKey, vault.OpDestroyDataKey,
	vault.OpHealProtector, vault.OpHealRootFile, vault.OpHealJournal, vault.OpPinKey, vault.OpScrub, vault.OpRepairVault, vault.OpDryRun,
}

// operations returns the operations that package vault declares.
func operations(t *testing.T) (all []vault.Operation) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../operation.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || spec.Type == nil || len(spec.Values) != 1 {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == "Operation" {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, vault.Operation(value))
		}
		return true
	})
	return all
}

// TestSchemaHasEveryOperation: the schema has exactly the operations that an Authorizer is
// asked for, and each is in a group.
func TestSchemaHasEveryOperation(t *testing.T) {
	var s schema.Schema
	if err := s.UnmarshalCedar([]byte(policy.Schema())); err != nil {
		t.Fatal(err)
	}
	r, err := s.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	declared := operations(t)
	if len(declared) < 60 {
		t.Fatalf("found %d operations", len(declared))
	}
	for _, op := range declared {
		a, ok := r.Actions[types.NewEntityUID("Action", types.String(op))]
		if want := !slices.Contains(recordedOnly, op); ok != want {
			t.Errorf("%s is in the schema: %v, want %v", op, ok, want)
		}
		if ok && a.Entity.Parents.Len() != 1 {
			t.Errorf("%s is in %d groups of actions, want 1", op, a.Entity.Parents.Len())
		}
	}
	v, _ := newVault(t)
	for _, op := range declared {
		err := v.As(vault.DefaultOwner).DryRun(t.Context(), op, "", nil)
		if refused := errors.Is(err, vault.ErrInvalid); refused != (slices.Contains(recordedOnly, op) || op == vault.OpRestoreVault) {
			t.Errorf("DryRun of %s: %v", op, err)
		}
	}
	for uid, a := range r.Actions {
		if a.AppliesTo != nil && !slices.Contains(declared, vault.Operation(uid.ID)) {
			t.Errorf("the schema has the action %s, which is no operation", uid.ID)
		}
	}
}

// TestResourceOfOperation: the schema applies an operation to a Key if and only if a request
// for it may name a CMK.
func TestResourceOfOperation(t *testing.T) {
	onKeys := []byte(`{"format":1,"cedar":"permit(principal, action, resource is Key);"}`)
	p, err := policy.Cedar{}.Compile(onKeys)
	if err != nil {
		t.Fatal(err)
	}
	vaultWide := map[vault.Operation]bool{
		vault.OpListKeys: true, vault.OpListDataKeys: true, vault.OpListAlgorithms: true, vault.OpListProtectors: true, vault.OpListOrphans: true, vault.OpReadAudit: true, vault.OpExportAudit: true,
		vault.OpCheck: true, vault.OpReadPolicy: true, vault.OpExplainPolicy: true, vault.OpGenerateRandom: true, vault.OpConfirmTime: true, vault.OpSetTimeBack: true,
		vault.OpAddProtector: true, vault.OpRemoveProtector: true, vault.OpRotateRoot: true, vault.OpCutAudit: true, vault.OpBackup: true,
		vault.OpPutPolicy: true, vault.OpCreateGrant: true, vault.OpUseGrant: true, vault.OpListGrants: true, vault.OpRevokeGrant: true,
		vault.OpApprove: true, vault.OpListApprovals: true, vault.OpWithdrawApproval: true, vault.OpDryRunFor: true, vault.OpRestoreVault: true,
	}
	for _, op := range operations(t) {
		if slices.Contains(recordedOnly, op) {
			continue
		}
		d, err := p.Authorize(context.Background(), vault.Request{Principal: "p", Operation: op})
		if err != nil || d.Allow == vaultWide[op] {
			t.Errorf("%s by a policy on keys: %+v, %v; the operation is on the whole vault: %v", op, d, err, vaultWide[op])
		}
	}
}
