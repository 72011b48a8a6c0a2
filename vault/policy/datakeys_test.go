package policy_test

import (
	"errors"
	"testing"

	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// TestPoliciesOnDataKeys: a policy permits one named data key of a CMK, by its name, its id or
// its encryption context, and no decision on another is kept for it.
func TestPoliciesOnDataKeys(t *testing.T) {
	v, _ := newVault(t)
	owner := v.As(vault.DefaultOwner)
	k := mustKey(t, owner, vault.KeyOptions{})
	made := map[string]vault.NamedDataKey{}
	for _, name := range []string{"orders", "invoices", "tenant"} {
		o := vault.DataKeyOptions{Name: name}
		if name == "tenant" {
			o.Context = vault.EncryptionContext{"tenant": "a"}
		}
		d, err := owner.CreateDataKey(t.Context(), k.ID, 32, o)
		if err != nil {
			t.Fatal(err)
		}
		made[name] = d
	}
	mustPut(t, owner, policy.Set{Cedar: operator + `
		permit(principal == Principal::"by-name", action == Action::"OpenNamedDataKey", resource) when { context.dataKeyName == "orders" };
		permit(principal == Principal::"by-id", action == Action::"OpenNamedDataKey", resource) when { context.dataKey == "` + made["orders"].ID + `" };
		permit(principal == Principal::"by-context", action == Action::"OpenNamedDataKey", resource)
			when { context.encryptionContext.hasTag("tenant") && context.encryptionContext.getTag("tenant") == "a" };
		permit(principal == Principal::"maker", action == Action::"CreateDataKey", resource) when { context.newAlias like "m-*" };`})
	may := map[string]string{"by-name": "orders", "by-id": "orders", "by-context": "tenant"}
	for range 2 {
		for principal, permitted := range may {
			for name, d := range made {
				for _, as := range []string{name, d.ID} {
					opened, err := v.As(vault.Principal(principal)).OpenNamedDataKey(t.Context(), as)
					opened.Destroy()
					if name == permitted && err != nil || name != permitted && !errors.Is(err, vault.ErrDenied) {
						t.Errorf("%s opens %s: %v", principal, name, err)
					}
				}
			}
		}
	}
	for name, permitted := range map[string]bool{"m-1": true, "n-1": false} {
		_, err := v.As("maker").CreateDataKey(t.Context(), k.ID, 32, vault.DataKeyOptions{Name: name})
		if permitted && err != nil || !permitted && !errors.Is(err, vault.ErrDenied) {
			t.Errorf("maker makes %s: %v", name, err)
		}
	}
}
