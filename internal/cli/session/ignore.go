package session

import (
	"context"
	"sync/atomic"

	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// ignoring is an engine that puts the owner in the place of the policies that the vault
// stores when it is opened. A set that is put later is compiled, so that it can be checked and
// stored.
type ignoring struct {
	owner  ownerOnly
	opened *atomic.Bool
}

// Compile implements vault.PolicyEngine.
func (i ignoring) Compile(document []byte) (vault.Policies, error) {
	if i.opened.Load() {
		return policy.Cedar{}.Compile(document)
	}
	return i.owner, nil
}

// ignoreRule marks what the owner does in the audit log.
const ignoreRule = "strongroom --ignore-policies"

// ownerOnly are policies that permit everything to one principal.
type ownerOnly vault.Principal

// Authorize allows the owner's requests.
func (o ownerOnly) Authorize(_ context.Context, r vault.Request) (vault.Decision, error) {
	return vault.Decision{Allow: r.Principal == vault.Principal(o), Rule: ignoreRule}, nil
}

// Principals returns the owner.
func (o ownerOnly) Principals() []vault.Principal { return []vault.Principal{vault.Principal(o)} }

// Explain returns that the policies are ignored.
func (o ownerOnly) Explain(r vault.Request) vault.Explanation {
	d, _ := o.Authorize(context.Background(), r)
	return vault.Explanation{Decision: d, Reasons: []string{"the stored policies are ignored: only the owner is permitted"}}
}
