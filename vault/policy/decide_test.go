package policy

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go"

	"strongroom.example/vault"
)

// mixed has a policy for each way in which a decision leaves policies out or keeps results.
const mixed = `
@id("scope") permit(principal == Principal::"alice", action == Action::"Encrypt", resource);
@id("group") permit(principal in Group::"apps", action in Action::"use", resource is Key) when { resource.alias == "invoices" };
@id("set") permit(principal, action in [Action::"read", Action::"Sign"], resource) when { context.reason like "CHG-*" };
@id("tag") permit(principal is Principal, action, resource is Key) when { resource.hasTag("team") && resource.getTag("team") == "pay" };
@id("isin") permit(principal is Principal in Group::"auditors", action == Action::"ReadAudit", resource);
@id("hours") permit(principal, action == Action::"Decrypt", resource) when { context.time < datetime("2026-01-01") };
@id("tenant") permit(principal, action == Action::"Decrypt", resource) when { context.encryptionContext.hasTag("tenant") && context.encryptionContext.getTag("tenant") == "7" };
@id("naming") permit(principal, action == Action::"SetAlias", resource) when { context.newAlias like "app-*" && !context.newTags.hasTag("x") };
@id("soft") forbid(principal, action in Action::"use", resource is Key) when { resource.driver == "soft" && resource.usage == "SIGN_VERIFY" };
@id("reason") forbid(principal, action == Action::"Decrypt", resource) unless { context.reason != "" };
@id("two") forbid(principal == Principal::"bob", action, resource is Key) when { resource.alias == "ledger" && resource.origin == "EXTERNAL" };
`

// operators has policies with the operators that mixed does not have.
const operators = `
@id("or") permit(principal == Principal::"dave", action == Action::"Sign", resource) when { context.reason == "CHG-1" || resource.origin != "EXTERNAL" };
@id("maybe") permit(principal == Principal::"dave", action == Action::"Encrypt", resource)
	when { resource.alias != "ledger" && (if context.reason == "" then true else context.newTags.hasTag("x")) };
@id("constant") permit(principal == Principal::"dave", action == Action::"DescribeKey", resource) when { true && !(resource.hasTag("team") || context.reason == "other") };
@id("member") permit(principal, action == Action::"SetAlias", resource) when { principal in Group::"apps" && context.newAlias == "x" };
`

// forms has a policy for each form of condition that is decided without Cedar, and that mixed and
// operators do not have.
const forms = `
@id("date") permit(principal == Principal::"alice", action == Action::"Encrypt", resource)
	when { context.time >= datetime("2025-01-01") && context.time < datetime("2027-01-01T00:00:00.000Z") };
@id("instant") permit(principal == Principal::"alice", action == Action::"ReadAudit", resource) when { context.time == datetime("2027-01-15T09:00:00+0100") };
@id("hours") permit(principal == Principal::"alice", action == Action::"Decrypt", resource)
	when { context.time.toTime() >= duration("8h") && context.time.toTime() <= duration("17h30m") };
@id("night") permit(principal == Principal::"alice", action == Action::"ListKeys", resource) unless { duration("12h") > context.time.toTime() };
@id("contains") permit(principal == Principal::"alice", action == Action::"Sign", resource) when { ["invoices", "ledger"].contains(resource.alias) };
@id("if") permit(principal == Principal::"alice", action == Action::"DescribeKey", resource)
	when { if resource.hasTag("team") then resource.getTag("team") == "pay" else context.reason != "" };
@id("has") permit(principal == Principal::"alice", action == Action::"SetAlias", resource)
	when { context has reason && context.reason like "CHG-*" && resource has driver && resource.driver == "hsm" };
@id("has-not") permit(principal == Principal::"bob", action in [Action::"ReadAudit", Action::"DescribeKey"], resource) when { !(resource has alias) };
@id("aliases") permit(principal == Principal::"carol", action == Action::"Decrypt", resource)
	when { resource has aliases && resource.aliases.contains("other") && !resource.aliases.contains("ledger") };
@id("is") permit(principal == Principal::"bob", action == Action::"DescribeKey", resource) when { resource is Key };
@id("either") permit(principal, action == Action::"ListKeys", resource) when { principal == Principal::"bob" || principal in Group::"auditors" };
@id("not-in") permit(principal == Principal::"bob", action == Action::"Encrypt", resource) when { !(principal is Principal in Group::"auditors") };
@id("key") permit(principal == Principal::"bob", action == Action::"Sign", resource) when { resource == Key::"22d79428-61d9-41ea-a3c8-525400123456" };
@id("key-scope") permit(principal == Principal::"bob", action == Action::"Decrypt", resource == Key::"22d79428-61d9-41ea-a3c8-525400123456");
@id("in-set") permit(principal == Principal::"carol", action, resource)
	when { action in [Action::"read", Action::"Sign"] && principal in [Group::"auditors", Group::"apps"] && action != Action::"ListKeys" };
@id("two-texts") permit(principal == Principal::"dave", action == Action::"Encrypt", resource) when { resource.alias == context.newAlias };
@id("two-tests") permit(principal == Principal::"dave", action == Action::"Decrypt", resource)
	when { resource.hasTag("team") == context.encryptionContext.hasTag("tenant") };
@id("numbers") permit(principal == Principal::"dave", action == Action::"Sign", resource) when { 1 < 2 && context.reason == "other" };
@id("all") permit(principal == Principal::"dave", action == Action::"SetAlias", resource);
@id("unless-if") forbid(principal == Principal::"dave", action == Action::"SetAlias", resource)
	unless { if context.newTags.hasTag("x") then context.newTags.getTag("x") == "z" else true };
`

// fallible has policies whose evaluation fails for some requests, among others, and policies
// that demand approvals.
const fallible = `
@id("first") permit(principal == Principal::"alice", action, resource) when { context.reason == "CHG-1" };
@id("late") permit(principal, action in Action::"use", resource)
	when { context.reason == "other" && context.time.offset(duration("9223372036854775807ms")) > context.time };
@id("later") forbid(principal == Principal::"bob", action, resource)
	when { context.time.offset(duration("1d")) > datetime("2027-01-01") || context.reason == "CHG-1" && 9223372036854775807 + 1 > 0 };
@id("plain") permit(principal, action == Action::"Sign", resource) when { resource.alias == "invoices" };
@id("three") @approvals("3") permit(principal, action in Action::"use", resource);
@id("one") @approvals("1") @within("5m") @subject("any") permit(principal == Principal::"carol", action, resource) when { context.time.offset(duration("1d")) > datetime("2027-01-01") };
@id("two") @approvals("2") permit(principal in Group::"apps", action in Action::"use", resource is Key) when { resource.driver == "hsm" };
@id("no") forbid(principal == Principal::"carol", action == Action::"Sign", resource is Key) when { resource.usage == "SIGN_VERIFY" };
`

// TestDecisionsAreCedars: decisions that leave policies out, repeat kept results and evaluate
// conditions without Cedar are those of Cedar over all policies.
func TestDecisionsAreCedars(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		indirect int // the number of policies that Cedar evaluates
	}{"mixed": {mixed + operators, 0}, "forms": {forms, 0}, "fallible": {fallible, 3}} {
		t.Run(name, func(t *testing.T) {
			set := Set{Cedar: c.text, Groups: map[string][]vault.Principal{"apps": {"alice", "carol"}, "auditors": {"dave"}}}
			under, err := compile(set)
			if err != nil {
				t.Fatal(err)
			}
			asked := newOracle(t, set)
			rules, r := map[string]int{}, rand.New(rand.NewPCG(1, 2))
			for range 20_000 {
				q := randomRequest(r)
				got, err := under.Authorize(context.Background(), q)
				if err != nil {
					t.Fatal(err)
				}
				asked.compare(t, q, got)
				rules[got.Rule]++
			}
			indirect := 0
			for _, r := range under.rules {
				if !r.direct {
					indirect++
				}
			}
			if indirect != c.indirect {
				t.Errorf("Cedar evaluates %d of %d policies, want %d", indirect, len(under.rules), c.indirect)
			}
			want := len(under.rules) + 1 // each policy, and none
			if name == "fallible" {
				want++ // late does not decide; it and later cannot be evaluated
			}
			if len(rules) != want {
				t.Errorf("the requests met %d rules, want %d: %v", len(rules), want, rules)
			}
		})
	}
}

// An oracle decides by Cedar over all policies of a set.
type oracle struct {
	plain *policies
	whole *cedar.PolicySet
}

func newOracle(t *testing.T, s Set) oracle {
	t.Helper()
	all, err := cedar.NewPolicyListFromBytes("", []byte(s.Cedar))
	if err != nil {
		t.Fatal(err)
	}
	o := oracle{whole: cedar.NewPolicySet()}
	if o.plain, err = compile(s); err != nil {
		t.Fatal(err)
	}
	for i, one := range all {
		o.whole.Add(o.plain.rules[i].id, one)
	}
	return o
}

// compare compares a decision with that of Cedar.
func (o oracle) compare(t *testing.T, q vault.Request, got vault.Decision) {
	t.Helper()
	allow, why := o.decide(q)
	if len(why.Errors) > 0 {
		failed := slices.ContainsFunc(why.Errors, func(e cedar.DiagnosticError) bool { return got.Rule == string(e.PolicyID)+" cannot be evaluated" })
		if got.Allow || !failed {
			t.Fatalf("%+v: allowed %v by %q, Cedar cannot evaluate %v", q, got.Allow, got.Rule, why.Errors)
		}
		return
	}
	if got.Allow != allow {
		t.Fatalf("%+v: allowed %v by %q, Cedar says %v by %v", q, got.Allow, got.Rule, allow, why.Reasons)
	}
	if len(why.Reasons) == 0 {
		if got != (vault.Decision{}) {
			t.Fatalf("%+v: %+v, although no policy applies", q, got)
		}
		return
	}
	// The first of those that demand the fewest approvals, in the order of the text.
	var want *rule
	for _, r := range o.plain.rules {
		if slices.ContainsFunc(why.Reasons, func(d cedar.DiagnosticReason) bool { return d.PolicyID == r.id }) && (want == nil || r.approvals < want.approvals) {
			want = r
		}
	}
	if got.Rule != string(want.id) || got.Approvals != want.approvals || got.Within != want.within || got.AnySubject != want.anySubject {
		t.Fatalf("%+v: decided by %+v, Cedar says by %v, of which %s is first", q, got, why.Reasons, want.id)
	}
}

// decide asks Cedar with each alias of the key: a policy that forbids as one of them forbids, and one
// that permits permits.
func (o oracle) decide(q vault.Request) (allow bool, why cedar.Diagnostic) {
	var forbids, permits []cedar.DiagnosticReason
	for _, alias := range append([]string{q.Alias}, q.OtherAliases...) {
		one := q
		one.Alias = alias
		full := cedarRequest(&one)
		full.Context = cedarContext(&one)
		permitted, found := cedar.Authorize(o.whole, &entities{p: o.plain, r: &q, alias: alias}, full)
		why.Errors = append(why.Errors, found.Errors...)
		if permitted {
			permits = append(permits, found.Reasons...)
		} else {
			forbids = append(forbids, found.Reasons...)
		}
	}
	if why.Reasons = permits; len(forbids) > 0 {
		why.Reasons = forbids
	}
	return len(forbids) == 0 && len(permits) > 0, why
}

func randomRequest(r *rand.Rand) vault.Request {
	q := vault.Request{
		Principal: pick[vault.Principal](r, "alice", "bob", "carol", "dave"),
		Operation: pick(r, vault.OpEncrypt, vault.OpDecrypt, vault.OpSign, vault.OpReadAudit, vault.OpDescribeKey, vault.OpSetAlias, vault.OpListKeys),
		Time:      time.Unix(pick(r, 1.7e9, 1.8e9, 1.75e9+r.Int64N(86_400)), 0),
		Reason:    pick(r, "", "CHG-1", "other"),
	}
	if q.Operation != vault.OpReadAudit && q.Operation != vault.OpListKeys {
		q.Key, q.Alias = pick(r, "", "22d79428-61d9-41ea-a3c8-525400123456"), pick(r, "", "invoices", "ledger")
		if q.Key != "" && q.Alias != "" {
			q.OtherAliases = pick(r, nil, nil, []string{"other"}, []string{"other", pick(r, "invoices", "ledger")})
		}
		q.KeyDriver, q.Usage, q.Origin = pick(r, "soft", "hsm"), pick(r, vault.EncryptDecrypt, vault.SignVerify), pick(r, vault.OriginVault, vault.OriginExternal)
		q.Tags = pick(r, nil, map[string]string{"team": "pay"}, map[string]string{"team": "hr"})
		q.Context = pick(r, nil, vault.EncryptionContext{"tenant": "7"}, vault.EncryptionContext{"tenant": "8"})
		q.NewAlias, q.NewTags = pick(r, "", "app-1", "x"), pick(r, nil, map[string]string{"x": "y"})
	}
	return q
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// TestExplain: the explanation names the policy that decided, or what the policies demand.
func TestExplain(t *testing.T) {
	p, err := compile(Set{Cedar: mixed, Groups: map[string][]vault.Principal{"apps": {"alice"}, "auditors": nil}})
	if err != nil {
		t.Fatal(err)
	}
	q := vault.Request{Principal: "alice", Operation: vault.OpEncrypt, Alias: "invoices", KeyDriver: "hsm"}
	for _, c := range []struct {
		change  func(*vault.Request)
		allow   bool
		rule    string
		reasons []string
	}{
		{func(*vault.Request) {}, true, "scope", []string{
			"policy scope (line 2, column 1) permits",
			"policy group (line 3, column 1) permits",
			`policy tag (line 5, column 1) does not apply: when { resource.hasTag("team") && resource.getTag("team") == "pay" } does not hold`,
			`policy soft (line 10, column 1) does not apply: when { resource.driver == "soft" && resource.usage == "SIGN_VERIFY" } does not hold`,
		}},
		{func(r *vault.Request) { r.Operation, r.Principal = vault.OpGenerateRandom, "bob" }, false, "", []string{
			"policy tag (line 5, column 1) does not apply: its resource is another one",
			"policy soft (line 10, column 1) does not apply: its resource is another one",
			"policy two (line 12, column 1) does not apply: its resource is another one",
			`no policy permits GenerateRandom to "bob"`,
		}},
		{func(r *vault.Request) { r.Operation, r.Principal = vault.OpSetAlias, "carol" }, false, "", []string{
			`policy tag (line 5, column 1) does not apply: when { resource.hasTag("team") && resource.getTag("team") == "pay" } does not hold`,
			`policy naming (line 9, column 1) does not apply: when { context.newAlias like "app-*" && !context.newTags.hasTag("x") } does not hold`,
			`no policy permits SetAlias to "carol"`,
		}},
	} {
		r := q
		c.change(&r)
		got := p.Explain(r)
		if got.Allow != c.allow || got.Rule != c.rule || len(got.Reasons) != len(c.reasons) {
			t.Errorf("%s by %s: allowed %v by %q, want %v by %q; reasons %q", r.Operation, r.Principal, got.Allow, got.Rule, c.allow, c.rule, got.Reasons)
			continue
		}
		for i := range c.reasons {
			if got.Reasons[i] != c.reasons[i] {
				t.Errorf("%s by %s, reason %d: %s; want %s", r.Operation, r.Principal, i, got.Reasons[i], c.reasons[i])
			}
		}
	}
}

// TestSeveralAliases: a policy over resource.alias applies to a key that has the alias at any place,
// by the same decision however it is evaluated, and resource.aliases has them all.
func TestSeveralAliases(t *testing.T) {
	const rules = `
@id("app") permit(principal == Principal::"app", action, resource is Key) when { resource.alias like "app/*" };
@id("not") permit(principal == Principal::"careful", action, resource is Key) when { !resource.aliases.contains("ledger") };
@id("sealed") forbid(principal, action == Action::"Verify", resource) when { resource.alias like "app/*" };
@id("no") forbid(principal, action == Action::"Decrypt", resource) when { resource.alias == "ledger" };`
	const byCedar = rules + `
@id("late") forbid(principal, action, resource) when { context.time > datetime("2100-01-01") };
@id("two") @approvals("2") permit(principal == Principal::"app", action == Action::"Sign", resource) when { resource.alias == "signer" };`
	for name, text := range map[string]string{"one by one": rules, "all by Cedar": byCedar} {
		p, err := compile(Set{Cedar: text})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			principal vault.Principal
			op        vault.Operation
			aliases   []string
			want      string // the policy that decides, or "" if none permits
			allow     bool
		}{
			{"app", vault.OpEncrypt, []string{"app/1"}, "app", true},
			{"app", vault.OpEncrypt, []string{"ledger", "app/1"}, "app", true},
			{"app", vault.OpEncrypt, []string{"ledger", "other"}, "", false},
			{"app", vault.OpDecrypt, []string{"app/1", "other", "ledger"}, "no", false},
			{"app", vault.OpDecrypt, []string{"app/1", "other"}, "app", true},
			{"app", vault.OpVerify, []string{"other", "app/1"}, "sealed", false}, // by a part that two policies have
			{"careful", vault.OpEncrypt, []string{"other", "more"}, "not", true},
			{"careful", vault.OpEncrypt, []string{"other", "ledger"}, "", false},
			{"careful", vault.OpEncrypt, nil, "not", true},
		} {
			r := vault.Request{Principal: c.principal, Operation: c.op, Key: "22d79428-61d9-41ea-a3c8-525400123456"}
			if len(c.aliases) > 0 {
				r.Alias, r.OtherAliases = c.aliases[0], c.aliases[1:]
			}
			for range 2 { // the second time from what is kept
				got, err := p.Authorize(context.Background(), r)
				if err != nil || got.Allow != c.allow || got.Rule != c.want || got.Approvals != 0 {
					t.Errorf("%s: %s by %s on %q: %+v, %v, want %v by %q", name, c.op, c.principal, c.aliases, got, err, c.allow, c.want)
				}
			}
			why := p.Explain(r)
			named := slices.ContainsFunc(why.Reasons, func(reason string) bool {
				return strings.HasPrefix(reason, "policy "+c.want+" ") && (strings.HasSuffix(reason, " permits") || strings.HasSuffix(reason, " forbids"))
			})
			if why.Allow != c.allow || why.Rule != c.want || named != (c.want != "") {
				t.Errorf("%s: Explain of %s by %s on %q: %+v", name, c.op, c.principal, c.aliases, why)
			}
		}
	}
}
