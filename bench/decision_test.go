package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/driver/soft"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// decisionPolicies returns 100 policies of which the scope excludes none, that all apply or of
// which none applies to the requests of BenchmarkDecision.
func decisionPolicies(applies bool) []byte {
	tenant := "7"
	if !applies {
		tenant = "none"
	}
	var b strings.Builder
	for n := range 100 {
		fmt.Fprintf(&b, `permit(principal, action, resource is Key) when { resource.driver == "software" && context.encryptionContext.hasTag("tenant") &&
			context.encryptionContext.getTag("tenant") == %q && context.reason != "%d" };`+"\n", tenant, n)
	}
	return policy.Set{Cedar: b.String()}.Encode()
}

// BenchmarkDecision measures decisions over 100 policies as parts of a durable Encrypt of a
// vault with its default Authorizer, in the same run. It reports medians of turns:
//   - "x-new": the time of a decision whose encryption context differs from the last one's,
//     divided by the time of the Encrypt, and "x-none" where none of the policies applies, so
//     that all have to be evaluated,
//   - "x-cached": the same of a decision that repeats the last one,
//   - "-cpu": the same of processor times, which other load changes less,
//   - "ns-": the processor time of a decision.
func BenchmarkDecision(b *testing.B) {
	ctx := b.Context()
	v := must(vault.Create(ctx, filepath.Join(b.TempDir(), "vault"), vault.Config{}, soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("x"))))
	b.Cleanup(func() { v.Close() })
	c := v.As(vault.DefaultOwner)
	k := must(c.CreateKey(ctx, vault.KeyOptions{}))
	plaintext, tenant := make([]byte, 1024), vault.EncryptionContext{"tenant": "7"}
	encrypt := func(ctx context.Context, _ []byte) error {
		_, err := c.Encrypt(ctx, k.ID, plaintext, tenant)
		return err
	}
	request := vault.Request{
		Principal: "app", Operation: vault.OpEncrypt, Key: k.ID, Usage: k.Usage, Origin: k.Origin, KeyDriver: "software", Context: tenant,
	}
	decide := func(applies, fresh bool) act {
		p := must(policy.Cedar{}.Compile(decisionPolicies(applies)))
		other := request
		other.Context = vault.EncryptionContext{"tenant": "7", "other": "1"}
		turns := [2]vault.Request{request, request}
		if fresh {
			turns[1] = other
		}
		n := 0
		return func(ctx context.Context, _ []byte) error {
			n++
			d, err := p.Authorize(ctx, turns[n%2])
			if err == nil && d.Allow != applies {
				err = fmt.Errorf("the decision is %+v", d)
			}
			return err
		}
	}
	layers := []layer{
		{"encrypt", baselineOf(encrypt)}, {"new", baselineOf(decide(true, true))},
		{"none", baselineOf(decide(false, true))}, {"cached", baselineOf(decide(true, false))},
	}
	list := make(map[string][]float64)
	for n := range 5 * rounds {
		costs := make([]Cost, len(layers))
		for i := range layers {
			at := (i + n) % len(layers) // each is the first in turn
			costs[at] = layers[at].of(b, 1, turn)
		}
		for i, l := range layers[1:] {
			list["x-"+l.name] = append(list["x-"+l.name], float64(costs[i+1].Wall)/float64(costs[0].Wall))
			if costs[0].CPU > 0 {
				list["x-"+l.name+"-cpu"] = append(list["x-"+l.name+"-cpu"], float64(costs[i+1].CPU)/float64(costs[0].CPU))
				list["ns-"+l.name] = append(list["ns-"+l.name], float64(costs[i+1].CPU))
			}
		}
	}
	for unit, values := range list {
		b.ReportMetric(median(values), unit)
	}
	b.ReportMetric(0, "ns/op")
}
