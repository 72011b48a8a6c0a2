package policy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// hundred returns 100 policies: for each of 10 principals one for each of 10 operations, with
// conditions on the key and the encryption context.
func hundred() policy.Set {
	var b strings.Builder
	for p := range 10 {
		for _, op := range []vault.Operation{vault.OpEncrypt, vault.OpDecrypt, vault.OpSign, vault.OpVerify, vault.OpGenerateDataKey,
			vault.OpOpenDataKey, vault.OpDescribeKey, vault.OpRotateKey, vault.OpGenerateMac, vault.OpVerifyMac} {
			fmt.Fprintf(&b, `@id("p%d-%s") permit(principal == Principal::"p%[1]d", action == Action::%[2]q, resource)
				when { resource.alias == "a%[1]d" && context.encryptionContext.hasTag("tenant") && context.encryptionContext.getTag("tenant") == "7" };`+"\n", p, op)
		}
	}
	return policy.Set{Cedar: b.String()}
}

// everywhere returns 100 policies that all have to be evaluated for every request, unless one
// before them decides: they differ by their conditions on the key, or by those on the
// encryption context.
func everywhere(condition string) policy.Set {
	var b strings.Builder
	for p := range 100 {
		fmt.Fprintf(&b, "permit(principal, action, resource is Key) when { "+condition+" };\n", p)
	}
	return policy.Set{Cedar: b.String()}
}

// Conditions of everywhere. With allHold Cedar evaluates all policies, because an addition may
// fail.
const (
	byAlias = `resource.alias == "a%d" && context.encryptionContext.hasTag("tenant")`
	allHold = `resource.driver == "soft" && context.encryptionContext.hasTag("tenant") && %d + 1 > 0`
	apply   = `resource.driver == "soft" && context.encryptionContext.hasTag("tenant") && context.reason != "%d"`
	hours   = `context.time.toTime() > duration("23h%dm") && resource.driver == "soft"`
	none    = `context.encryptionContext.hasTag("tenant") && context.encryptionContext.getTag("tenant") == "none %d"`
)

func compiled(t testing.TB, s policy.Set) vault.Policies {
	t.Helper()
	p, err := policy.Cedar{}.Compile(s.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func request() vault.Request {
	return vault.Request{
		Principal: "p3", Operation: vault.OpDecrypt, Key: "22d79428-61d9-41ea-a3c8-525400123456", Alias: "a3",
		Tags: map[string]string{"team": "pay"}, Usage: vault.EncryptDecrypt, Origin: vault.OriginVault, KeyDriver: "soft",
		Context: vault.EncryptionContext{"tenant": "7"},
	}
}

// BenchmarkDecision decides by 100 policies. In "cached" the request repeats; in "new" the
// encryption context differs from the last one's, so that the policies are evaluated.
func BenchmarkDecision(b *testing.B) {
	for name, set := range map[string]policy.Set{
		"scoped": hundred(), "unscoped": everywhere(byAlias), "allApply": everywhere(apply), "allCanFail": everywhere(allHold), "hours": everywhere(hours), "noneApplies": everywhere(none),
	} {
		p, ctx := compiled(b, set), context.Background()
		for _, repeat := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/cached=%v", name, repeat), func(b *testing.B) {
				b.ReportAllocs()
				r := request()
				other := r
				other.Context = vault.EncryptionContext{"tenant": "8"}
				for i := range b.N {
					q := r
					if !repeat && i%2 == 1 {
						q = other
					}
					if _, err := p.Authorize(ctx, q); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
