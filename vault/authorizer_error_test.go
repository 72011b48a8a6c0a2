package vault

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

var errPolicyServer = errors.New("no route to the policy server")

// failsForOthers returns an Authorizer that fails for every principal except the owner.
func failsForOthers(cause error) authorizerFunc {
	return func(r Request) (Decision, error) {
		if r.Principal != DefaultOwner {
			return Decision{}, fmt.Errorf("asking: %w", cause)
		}
		return Decision{Allow: true, Rule: "owner"}, nil
	}
}

// TestAuthorizerFails: if the Authorizer fails, the request is denied. The caller gets the
// cause, and the record distinguishes it from a denial by policy.
func TestAuthorizerFails(t *testing.T) {
	for _, cause := range []error{errPolicyServer, context.DeadlineExceeded, ErrNotFound} {
		cfg := testConfig()
		cfg.Authorizer = failsForOthers(cause)
		v, _ := newTestVault(t, cfg)
		owner := v.As(DefaultOwner)
		k := mustKey(t, owner, KeyOptions{})
		_, err := v.As("bob").Encrypt(t.Context(), k.ID, nil, nil)
		if !errors.Is(err, ErrDenied) || !errors.Is(err, cause) {
			t.Errorf("with an Authorizer that fails with %v: %v, want ErrDenied that wraps it", cause, err)
		}
		r := lastRecord(t, owner, OpEncrypt)
		if r.Error != "DENIED" || r.Decision != "DENY" || r.Rule != failedRule || r.Principal != "bob" {
			t.Errorf("with an Authorizer that fails with %v, the record is %+v", cause, r)
		}
	}
}
