package policy_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/decisions"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
	"strongroom.example/vault/vaulttest"
)

// protector returns a protector with low cost.
func protector() driver.Protector {
	return soft.PassphraseParams{Memory: 64, Time: 1, Iterations: 1}.Passphrase([]byte("correct horse"))
}

// newVault makes a vault with the engine. Its cleanup checks every stored byte.
func newVault(t testing.TB) (*vault.Vault, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "vault")
	engine := countedEngine{decisions.New()}
	v, err := vault.Create(t.Context(), dir, vault.Config{Policies: engine}, protector())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, missing := range engine.missing(t, v) {
			t.Errorf("not on record: %s", missing)
		}
		v.Close()
	})
	return v, dir
}

// countedEngine is policy.Cedar whose policies count their decisions.
type countedEngine struct{ counter *decisions.Counter }

// Compile implements vault.PolicyEngine.
func (e countedEngine) Compile(document []byte) (vault.Policies, error) {
	p, err := policy.Cedar{}.Compile(document)
	if err != nil {
		return nil, err
	}
	return countedPolicies{p, e.counter}, nil
}

type countedPolicies struct {
	vault.Policies
	counter *decisions.Counter
}

func (p countedPolicies) Authorize(ctx context.Context, r vault.Request) (vault.Decision, error) {
	d, err := p.Policies.Authorize(ctx, r)
	p.counter.Decided(string(r.Principal), string(r.Operation), d.Allow)
	return d, err
}

// missing returns the decisions of an open vault that are not on record.
func (e countedEngine) missing(t testing.TB, v *vault.Vault) []string {
	t.Helper()
	read := func(c vault.Client) (l decisions.Log, err error) {
		for r, err := range c.AuditRecords(context.Background(), audit.Filter{}) {
			if err != nil {
				return l, err
			}
			l.Add(r)
		}
		return l, nil
	}
	for _, p := range []vault.Principal{"operator", vault.DefaultOwner, "alice", "root"} { // one of them may read the log
		if _, err := read(v.As(p)); err != nil {
			continue // denied, or closed
		}
		l, err := read(v.As(p)) // a second time, because it does not have the record of its own reading
		if err != nil {
			t.Error(err)
		}
		return e.counter.Missing(&l)
	}
	t.Log("the log is not read, because the test closed the vault or no principal may read it")
	return nil
}

func mustPut(t testing.TB, c vault.Client, s policy.Set) vault.PolicyVersion {
	t.Helper()
	n, err := policy.Put(t.Context(), c, s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func mustKey(t testing.TB, c vault.Client, o vault.KeyOptions) vault.Key {
	t.Helper()
	k, err := c.CreateKey(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// operator permits the operator everything.
const operator = `@id("operator") permit(principal == Principal::"operator", action, resource);` + "\n"

// TestPutPolicy: policies are in force at once and after a restart, and each version remains
// readable.
func TestPutPolicy(t *testing.T) {
	v, dir := newVault(t)
	ctx, owner, op := t.Context(), v.As(vault.DefaultOwner), v.As("operator")
	if _, _, err := op.Policy(ctx, 0); err == nil {
		t.Error("before the first policies a principal other than the owner may read them")
	}
	first := policy.Set{Cedar: operator}
	if n := mustPut(t, owner, first); n.Number != 1 || n.Principal != vault.DefaultOwner || len(n.Digest) != 64 {
		t.Errorf("the first version is %+v", n)
	}
	if _, err := policy.Put(ctx, owner, first); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("the owner after policies that do not permit it: %v, want ErrDenied", err)
	}
	k := mustKey(t, op, vault.KeyOptions{Alias: "invoices"})
	second := policy.Set{
		Cedar:  operator + `@id("apps") permit(principal in Group::"apps", action == Action::"Encrypt", resource) when { resource.alias == "invoices" };`,
		Groups: map[string][]vault.Principal{"apps": {"billing"}},
	}
	mustPut(t, op, second)
	for range 2 {
		if _, err := v.As("billing").Encrypt(ctx, "invoices", []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		if _, err := v.As("billing").DescribeKey(ctx, k.ID); !errors.Is(err, vault.ErrDenied) {
			t.Errorf("DescribeKey by a principal that may only encrypt: %v, want ErrDenied", err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if v, err = vault.Open(ctx, dir, vault.Config{Policies: policy.Cedar{}}, protector()); err != nil {
			t.Fatal(err)
		}
		defer v.Close()
	}
	op = v.As("operator")
	for number, want := range map[uint64]policy.Set{1: first, 2: second, 0: second} {
		if got, n, err := policy.Get(ctx, op, number); err != nil || got.Cedar != want.Cedar || n.Size == 0 {
			t.Errorf("version %d: %+v, %+v, %v", number, n, got, err)
		}
	}
	if all, err := op.PolicyVersions(ctx); err != nil || len(all) != 2 || all[1].Number != 2 {
		t.Errorf("PolicyVersions: %+v, %v", all, err)
	}
	if _, _, err := policy.Get(ctx, op, 3); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("a version that does not exist: %v, want ErrNotFound", err)
	}
	var put []audit.Record
	for r, err := range op.AuditRecords(ctx, audit.Filter{Operation: string(vault.OpPutPolicy), Result: audit.OK}) {
		if err != nil {
			t.Fatal(err)
		}
		put = append(put, r)
	}
	if len(put) != 2 || put[1].Detail["version"] != "2" || put[1].Rule != "operator" || put[0].Rule != "owner" {
		t.Errorf("the records of PutPolicy are %+v", put)
	}
	if err := op.Check(ctx); err != nil {
		t.Error(err)
	}
}

// TestAuthorizerBeforePolicies has an Authorizer decide until policies are stored.
func TestAuthorizerBeforePolicies(t *testing.T) {
	v := vaulttest.New(t, func(c *vault.Config) { c.Authorizer, c.Policies = everybody{}, policy.Cedar{} })
	ctx, anybody := t.Context(), v.As("anybody")
	if _, err := anybody.GenerateRandom(ctx, 1); err != nil {
		t.Errorf("before the first policies: %v", err)
	}
	mustPut(t, anybody, policy.Set{Cedar: `@id("put") permit(principal == Principal::"op", action == Action::"PutPolicy", resource);`})
	if _, err := anybody.GenerateRandom(ctx, 1); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("after them: %v, want ErrDenied", err)
	}
}

// TestOpenWithoutEngine: a program that gives no engine for the stored policies cannot open
// the vault by mistake. An Authorizer decides in place of the policies, but beside an engine
// only until some are stored.
func TestOpenWithoutEngine(t *testing.T) {
	v, dir := newVault(t)
	ctx := t.Context()
	mustPut(t, v.As(vault.DefaultOwner), policy.Set{Cedar: operator})
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Open(ctx, dir, vault.Config{}, protector()); !errors.Is(err, vault.ErrInvalid) {
		t.Errorf("Open without an engine: %v, want ErrInvalid", err)
	}
	v, err := vault.Open(ctx, dir, vault.Config{Authorizer: everybody{}, Policies: policy.Cedar{}}, protector())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.As("anybody").Policy(ctx, 0); !errors.Is(err, vault.ErrDenied) {
		t.Errorf("a stranger, with an Authorizer, an engine and policies: %v, want ErrDenied", err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	v, err = vault.Open(ctx, dir, vault.Config{Authorizer: everybody{}}, protector())
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, _, err := v.As("anybody").Policy(ctx, 0); err != nil {
		t.Error(err)
	}
	if _, err := policy.Put(ctx, v.As("anybody"), policy.Set{Cedar: operator}); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("PutPolicy without an engine: %v, want ErrUnsupported", err)
	}
}

// everybody permits everything.
type everybody struct{}

func (everybody) Authorize(context.Context, vault.Request) (vault.Decision, error) {
	return vault.Decision{Allow: true, Rule: "everybody"}, nil
}

// TestFaults: PutPolicy rejects faulty policies with the place of each fault, and leaves the
// policies in force.
func TestFaults(t *testing.T) {
	v, _ := newVault(t)
	owner, ctx := v.As(vault.DefaultOwner), t.Context()
	groups := map[string][]vault.Principal{"apps": {"billing"}}
	for name, c := range map[string]struct {
		cedar        string
		line, column int
		text         string
	}{
		"syntax":              {"\npermit(principal, action, resource) when { 1 + };", 2, 49, "invalid primary"},
		"unknown action":      {operator + `permit(principal, action == Action::"Encypt", resource);`, 2, 1, "Encypt"},
		"unknown attribute":   {operator + ` permit(principal, action == Action::"Encrypt", resource) when { resource.aliass == "x" };`, 2, 2, "aliass"},
		"wrong type":          {operator + "\n" + `permit(principal, action, resource) when { context.reason > 3 };`, 3, 1, "Long"},
		"unguarded tag":       {operator + `permit(principal, action == Action::"Encrypt", resource) when { resource.getTag("team") == "pay" };`, 2, 1, "team"},
		"unknown group":       {operator + `permit(principal in Group::"app", action, resource);`, 2, 1, "app"},
		"alias as id":         {operator + `permit(principal, action == Action::"Encrypt", resource == Key::"invoices");`, 2, 1, "resource.alias"},
		"another vault":       {operator + `permit(principal, action == Action::"Backup", resource == Vault::"mine");`, 2, 1, "mine"},
		"wrong resource":      {operator + `permit(principal, action == Action::"Backup", resource is Key);`, 2, 1, "applicable action"},
		"unknown annotation":  {operator + `@aprovals("2") permit(principal, action, resource);`, 2, 1, "aprovals"},
		"two of one name":     {operator + operator, 2, 1, "name"},
		"name without a byte": {operator + `@id("") permit(principal, action, resource);`, 2, 1, "@id"},
	} {
		_, err := policy.Put(ctx, owner, policy.Set{Cedar: c.cedar, Groups: groups})
		var fault *policy.Fault
		if !errors.Is(err, vault.ErrInvalid) || !errors.As(err, &fault) {
			t.Errorf("%s: %v, want ErrInvalid with a Fault", name, err)
			continue
		}
		if fault.Line != c.line || fault.Column != c.column || !strings.Contains(fault.Text, c.text) {
			t.Errorf("%s: line %d, column %d, %s; want line %d, column %d, and %q in the text", name, fault.Line, fault.Column, fault.Text, c.line, c.column, c.text)
		}
	}
	for name, document := range map[string]string{"no JSON": operator, "another field": `{"format":1,"polices":""}`, "another format": `{"format":2}`, "two": `{"format":1}{}`} {
		if _, err := owner.PutPolicy(ctx, []byte(document)); !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := owner.PutPolicy(ctx, make([]byte, vault.MaxPolicy+1)); !errors.Is(err, vault.ErrTooLarge) {
		t.Errorf("a document above the limit: %v, want ErrTooLarge", err)
	}
	if _, _, err := owner.Policy(ctx, 0); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("after rejected policies, Policy returns %v, want ErrNotFound", err)
	}
}

// TestLockedOut: PutPolicy rejects policies that no principal could change again.
func TestLockedOut(t *testing.T) {
	v, _ := newVault(t)
	owner, ctx := v.As(vault.DefaultOwner), t.Context()
	for name, c := range map[string]struct {
		set policy.Set
		ok  bool
	}{
		"no policy":            {policy.Set{}, false},
		"use only":             {policy.Set{Cedar: `permit(principal, action in Action::"use", resource);`}, false},
		"forbidden to all":     {policy.Set{Cedar: operator + `forbid(principal, action == Action::"PutPolicy", resource);`}, false},
		"an empty group":       {policy.Set{Cedar: `permit(principal in Group::"g", action, resource);`, Groups: map[string][]vault.Principal{"g": nil}}, false},
		"another reason":       {policy.Set{Cedar: `permit(principal, action, resource) when { context.reason == "CHG-2" };`}, false},
		"a group":              {policy.Set{Cedar: `permit(principal in Group::"g", action, resource);`, Groups: map[string][]vault.Principal{"g": {"a"}}}, true},
		"a named principal":    {policy.Set{Cedar: operator}, true},
		"everybody, and owner": {policy.Set{Cedar: `permit(principal, action, resource);`}, true},
	} {
		next := v
		if c.ok {
			next, _ = newVault(t) // because the owner may change the policies only once
		}
		_, err := policy.Put(vault.WithReason(ctx, "CHG-1"), next.As(vault.DefaultOwner), c.set)
		if c.ok && err != nil || !c.ok && !errors.Is(err, vault.ErrInvalid) {
			t.Errorf("%s: %v, want accepted %v", name, err, c.ok)
		}
	}
	mustPut(t, owner, policy.Set{Cedar: operator})
}
