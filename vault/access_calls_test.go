package vault

import (
	"bytes"
	"context"
	"errors"
	"strings"
)

// anyPolicies is an engine whose documents begin with "allow". Its policies allow everything.
type anyPolicies struct{}

func (anyPolicies) Compile(document []byte) (Policies, error) {
	if !bytes.HasPrefix(document, []byte("allow")) {
		return nil, errors.New("the document does not begin with allow")
	}
	return anyPolicies{}, nil
}
func (anyPolicies) Authorize(context.Context, Request) (Decision, error) {
	return Decision{Allow: true, Rule: "any"}, nil
}
func (anyPolicies) Principals() []Principal     { return nil }
func (anyPolicies) Explain(Request) Explanation { return Explanation{Reasons: []string{"any"}} }

// accessStressCalls returns the calls of stressCalls that are about access to the vault.
func accessStressCalls() []stressCall {
	return []stressCall{
		{"PutPolicy", false, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.PutPolicy(ctx, []byte("allow")))
		}},
		{"Policy", false, func(ctx context.Context, x *stressFixture) error {
			_, _, err := x.Client.Policy(ctx, 0)
			return err
		}},
		{"PolicyVersions", false, func(ctx context.Context, x *stressFixture) error { return second(x.Client.PolicyVersions(ctx)) }},
		{"Narrow", false, func(ctx context.Context, x *stressFixture) error {
			_, _, err := x.Client.Narrow(ctx, Grant{Uses: 1})
			return err
		}},
		{"WithGrant", false, func(ctx context.Context, x *stressFixture) error {
			_, g, err := x.Client.Narrow(ctx, Grant{})
			if err == nil {
				_, err = x.Client.WithGrant(ctx, g.ID)
			}
			return err
		}},
		{"ListGrants", true, func(ctx context.Context, x *stressFixture) error { return second(x.Client.ListGrants(ctx)) }},
		{"RevokeGrant", false, func(ctx context.Context, x *stressFixture) error {
			_, g, err := x.Client.Narrow(ctx, Grant{})
			if err == nil {
				err = x.Client.RevokeGrant(ctx, g.ID)
			}
			return err
		}},
		{"DryRun", false, func(ctx context.Context, x *stressFixture) error {
			return x.Client.DryRun(ctx, OpGenerateRandom, "", nil)
		}},
		{"DryRunFor", false, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.DryRunFor(ctx, "p", OpGenerateRandom, "", nil))
		}},
		{"Approve", true, func(ctx context.Context, x *stressFixture) error {
			return x.Client.Approve(ctx, Approval{Operation: OpRotateKey, Key: x.symmetric.key.ID})
		}},
		{"ListApprovals", true, func(ctx context.Context, x *stressFixture) error { return second(x.Client.ListApprovals(ctx)) }},
		{"WithdrawApproval", true, func(ctx context.Context, x *stressFixture) error {
			a := Approval{Operation: OpRotateKey, Key: x.symmetric.key.ID}
			err := x.Client.Approve(ctx, a)
			if err == nil {
				err = x.Client.WithdrawApproval(ctx, strings.TrimPrefix(a.path(x.Client.vault.suite, x.Client.principal), approvals))
			}
			return err
		}},
		{"DecryptTo", false, callOn(OpDecryptTo, (*stressFixture).hot)},
		{"GenerateDataKeyTo", false, callOn(OpGenerateDataKeyTo, (*stressFixture).hot)},
		{"ExplainPolicy", false, func(ctx context.Context, x *stressFixture) error {
			return second(x.Client.ExplainPolicy(ctx, Request{Principal: "p", Operation: OpEncrypt}))
		}},
	}
}

// accessFailingCalls returns the calls of failingCalls that are about access to the vault.
func accessFailingCalls() []failingCall {
	type x = *failingFixture
	return []failingCall{
		{"PutPolicy", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error {
				return second(c.PutPolicy(ctx, []byte("allow")))
			},
			func(ctx context.Context, c Client, _ x) error {
				return second(c.PutPolicy(ctx, make([]byte, MaxPolicy+1)))
			}},
		{"Policy", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error {
				_, _, err := c.Policy(ctx, 0)
				return err
			}, nil},
		{"PolicyVersions", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error { return second(c.PolicyVersions(ctx)) }, nil},
		{"Narrow", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error {
				_, _, err := c.Narrow(ctx, Grant{})
				return err
			},
			func(ctx context.Context, c Client, _ x) error {
				_, _, err := c.Narrow(ctx, Grant{Operations: []Operation{"none"}})
				return err
			}},
		{"WithGrant", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error { return second(c.WithGrant(ctx, "none")) }, nil},
		{"ListGrants", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error { return second(c.ListGrants(ctx)) }, nil},
		{"RevokeGrant", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error { return c.RevokeGrant(ctx, "none") },
			func(ctx context.Context, c Client, _ x) error { return c.RevokeGrant(ctx, "none") }},
		{"DryRun", OpEncrypt, "sym",
			func(ctx context.Context, c Client, _ x, key string) error {
				return c.DryRun(ctx, OpEncrypt, key, nil)
			},
			func(ctx context.Context, c Client, _ x) error { return c.DryRun(ctx, "none", "", nil) }},
		{"DryRunFor", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error {
				return second(c.DryRunFor(ctx, "p", OpEncrypt, "sym", nil))
			},
			func(ctx context.Context, c Client, _ x) error {
				return second(c.DryRunFor(ctx, "p", "none", "", nil))
			}},
		{"Approve", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error {
				return c.Approve(ctx, Approval{Operation: OpEncrypt, Key: "sym"})
			},
			func(ctx context.Context, c Client, _ x) error {
				return c.Approve(ctx, Approval{Operation: OpEncrypt, Key: "absent"})
			}},
		{"ListApprovals", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error { return second(c.ListApprovals(ctx)) }, nil},
		{"WithdrawApproval", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error { return c.WithdrawApproval(ctx, "none") },
			func(ctx context.Context, c Client, _ x) error {
				return c.WithdrawApproval(ctx, string(make([]byte, 100)))
			}},
		{"DecryptTo", OpDecryptTo, "sym",
			func(ctx context.Context, c Client, f x, key string) error {
				return second(c.DecryptTo(ctx, recipient(), f.ct[key], nil))
			},
			func(ctx context.Context, c Client, f x) error {
				return second(c.DecryptTo(ctx, Recipient{}, f.ct["sym"], nil))
			}},
		{"GenerateDataKeyTo", OpGenerateDataKeyTo, "sym",
			func(ctx context.Context, c Client, _ x, key string) error {
				return second(c.GenerateDataKeyTo(ctx, recipient(), key, 32, nil))
			},
			func(ctx context.Context, c Client, _ x) error {
				return second(c.GenerateDataKeyTo(ctx, recipient(), "sym", 191, nil))
			}},
		{"ExplainPolicy", "", "",
			func(ctx context.Context, c Client, _ x, _ string) error {
				return second(c.ExplainPolicy(ctx, Request{}))
			}, nil},
	}
}
