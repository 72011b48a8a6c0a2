package vault

import (
	"context"
	"errors"
	"io"
	"reflect"
	"testing"

	"strongroom.example/audit"
)

// aloneOperations are the operations whose commit is not part of a group, because it replaces the root
// file or cuts the log. They decide once more before it. The vault has two protectors.
func aloneOperations(t *testing.T) map[Operation]func(context.Context, Client) error {
	return map[Operation]func(context.Context, Client) error{
		OpAddProtector: func(ctx context.Context, c Client) error {
			return second(c.AddProtector(ctx, passphrase(t, "correct horse"), passphrase(t, "new")))
		},
		OpRemoveProtector: func(ctx context.Context, c Client) error {
			return c.RemoveProtector(ctx, c.vault.store.Root().Protectors[1].ID)
		},
		OpRotateRoot: func(ctx context.Context, c Client) error { return c.RotateRoot(ctx, passphrase(t, "correct horse")) },
		OpCutAudit: func(ctx context.Context, c Client) error {
			return second(c.CutAudit(ctx, CutRequest{Before: c.vault.store.LogState().Size, Export: io.Discard}))
		},
	}
}

// permissionEnds are the ways in which the permission for op by a grant can end.
func permissionEnds(ctx context.Context, owner Client, op Operation, grant string) map[string]func() error {
	return map[string]func() error{
		"new policies deny it": func() error { return second(owner.PutPolicy(ctx, []byte(op))) },
		"its grant is revoked": func() error { return owner.RevokeGrant(ctx, grant) },
	}
}

// TestStaleDecisionChangesNothing: an operation whose permission ends during its last decision replaces
// neither protectors nor root, and cuts no log.
func TestStaleDecisionChangesNothing(t *testing.T) {
	for op, do := range aloneOperations(t) {
		for how := range permissionEnds(t.Context(), Client{}, op, "") {
			t.Run(string(op)+", "+how, func(t *testing.T) {
				var end func() error
				asked, cfg := 0, testConfig()
				cfg.Policies = denyingPolicies{} // decides as soon as policies are stored
				cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
					if r.Operation == op && end != nil {
						if asked++; asked == 2 {
							ended := make(chan error)
							go func() { ended <- end() }()
							if err := <-ended; err != nil {
								t.Error(err)
							}
						}
					}
					return Decision{Allow: true, Rule: "test"}, nil
				})
				v, _ := newTestVault(t, cfg)
				owner, ctx := v.As(DefaultOwner), t.Context()
				must(t, second(owner.AddProtector(ctx, passphrase(t, "correct horse"), passphrase(t, "other"))))
				narrowed, g := mustNarrow(t, owner, Grant{})
				end = permissionEnds(ctx, owner, op, g.ID)[how]
				was := v.store.Root()
				if err := do(ctx, narrowed); !errors.Is(err, ErrDenied) {
					t.Errorf("%v, want ErrDenied", err)
				}
				if now := v.store.Root(); !reflect.DeepEqual(now, was) {
					t.Errorf("the root file has generation %d and %d protectors, want %d and %d", now.Generation, len(now.Protectors), was.Generation, len(was.Protectors))
				}
				if n := v.store.LogFirst().Size; n != 0 {
					t.Errorf("the log begins at record %d, want 0", n)
				}
				if r := lastRecord(t, owner, op); r.Result != audit.Refused {
					t.Errorf("the last record of %s is %+v, want a refusal", op, r)
				}
			})
		}
	}
}
