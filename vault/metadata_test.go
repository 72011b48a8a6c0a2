package vault

import (
	"context"
	"errors"
	"strings"
	"testing"

	"strongroom.example/audit"
	"strongroom.example/vault/internal/failures"
)

func TestAliasesAndTags(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	a := mustKey(t, c, KeyOptions{Alias: "a", Tags: map[string]string{"env": "test"}})
	b := mustKey(t, c, KeyOptions{Alias: "b", Description: "second"})
	if err := c.SetAlias(ctx, a.ID, "b"); !errors.Is(err, ErrExists) {
		t.Errorf("alias of another key: %v", err)
	}
	if err := c.SetAlias(ctx, "a", "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DescribeKey(ctx, "a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("DescribeKey by a former alias: %v, want ErrNotFound", err)
	}
	if err := c.DeleteAlias(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteAlias(ctx, b.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("DeleteAlias of a CMK without an alias: %v, want ErrNotFound", err)
	}
	if err := c.SetAlias(ctx, a.ID, "b"); err != nil {
		t.Errorf("SetAlias with an alias that was deleted: %v", err)
	}
	if err := c.UntagKey(ctx, a.ID, "no"); err != nil {
		t.Errorf("UntagKey of a tag that is not there: %v, want nil", err)
	}
	if err := errors.Join(c.TagKey(ctx, a.ID, map[string]string{"env": "live", "team": "x"}), c.UntagKey(ctx, a.ID, "team"),
		c.SetDescription(ctx, a.ID, "first")); err != nil {
		t.Fatal(err)
	}
	if err := c.SetDescription(ctx, a.ID, strings.Repeat("x", 1025)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("SetDescription with 1025 bytes: %v, want ErrTooLarge", err)
	}
	if err := c.TagKey(ctx, a.ID, map[string]string{"": "x"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("TagKey with an empty key: %v, want ErrInvalid", err)
	}
	got, err := c.DescribeKey(ctx, "b")
	if err != nil || got.ID != a.ID || got.Tags["env"] != "live" || len(got.Tags) != 1 || got.Description != "first" {
		t.Errorf("DescribeKey: %+v, error %v", got, err)
	}
	for name, row := range map[string]struct {
		filter KeyFilter
		want   int
	}{
		"all": {KeyFilter{}, 2}, "tag": {KeyFilter{Tags: map[string]string{"env": "live"}}, 1}, "alias": {KeyFilter{Alias: "b"}, 1},
		"state": {KeyFilter{State: Disabled}, 0}, "usage": {KeyFilter{Usage: EncryptDecrypt}, 2},
		"spec": {KeyFilter{Spec: Symmetric}, 2}, "other spec": {KeyFilter{Spec: SM2}, 0},
		"origin": {KeyFilter{Origin: OriginVault}, 2}, "other origin": {KeyFilter{Origin: OriginExternal}, 0},
		"driver": {KeyFilter{Driver: a.Driver}, 2}, "other driver": {KeyFilter{Driver: "none"}, 0},
	} {
		n := 0
		for _, err := range c.ListKeys(ctx, row.filter) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != row.want {
			t.Errorf("list by %s: %d keys, want %d", name, n, row.want)
		}
	}
}

// clerkMayEncrypt uses every field of a request.
func clerkMayEncrypt(r Request) (Decision, error) {
	switch {
	case r.Principal == DefaultOwner:
		return Decision{Allow: true, Rule: "owner"}, nil
	case r.Principal == "broken":
		return Decision{Allow: true}, errors.New("policy store is gone")
	case r.Principal == "clerk" && r.Operation == OpEncrypt && r.Alias == "k" && r.Context["tenant"] == "7":
		return Decision{Allow: true, Rule: "clerk-7"}, nil
	}
	return Decision{Rule: "default"}, nil
}

func TestAuthorizer(t *testing.T) {
	v, _ := newTestVault(t, Config{Edition: testEdition(), Authorizer: authorizerFunc(clerkMayEncrypt)})
	owner, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, owner, KeyOptions{Alias: "k"})
	clerk := v.As("clerk")
	ct, err := clerk.Encrypt(ctx, "k", []byte("x"), EncryptionContext{"tenant": "7"})
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"other context": second(clerk.Encrypt(ctx, "k", nil, EncryptionContext{"tenant": "8"})),
		"decrypt":       second(clerk.Decrypt(ctx, ct, EncryptionContext{"tenant": "7"})),
		"create":        second(clerk.CreateKey(ctx, KeyOptions{})),
		"audit":         clerk.ExportAudit(ctx, nil),
		"broken":        second(v.As("broken").DescribeKey(ctx, "k")),
	} {
		if !errors.Is(err, ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	rules := map[string]int{}
	for r, err := range owner.AuditRecords(ctx, audit.Filter{Key: k.ID, Principal: "clerk"}) {
		if err != nil {
			t.Fatal(err)
		}
		rules[r.Decision+" "+r.Rule+" "+r.Error]++
	}
	if rules["ALLOW clerk-7 "] != 1 || rules["DENY default DENIED"] != 2 {
		t.Errorf("the recorded decisions are %v", rules)
	}
}

func second[T any](_ T, err error) error { return err }

// TestRefusalsAreCounted: a principal with many refused requests gets a few records, and
// one count for the others.
func TestRefusalsAreCounted(t *testing.T) {
	v, dir := newTestVault(t, testConfig())
	k := mustKey(t, v.As(DefaultOwner), KeyOptions{})
	const tries = 200
	for range tries {
		if _, err := v.As("mallory").Encrypt(t.Context(), k.ID, nil, nil); !errors.Is(err, ErrDenied) {
			t.Fatal(err)
		}
	}
	closeChecked(t, v)
	v, err := Open(t.Context(), dir, testConfig(), passphrase(t, "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	records, refused := 0, uint64(0)
	for r, err := range v.As(DefaultOwner).AuditRecords(t.Context(), audit.Filter{Principal: "mallory"}) {
		if err != nil {
			t.Fatal(err)
		}
		records++
		refused += max(1, r.Count)
	}
	if records != failures.Each+1 || refused != tries {
		t.Errorf("%d records for %d refusals", records, refused)
	}
}

func TestClosedVault(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	dk, err := c.GenerateDataKey(t.Context(), k.ID, 32, nil)
	if err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	if _, err := c.Encrypt(t.Context(), k.ID, nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Encrypt after Close: %v, want ErrClosed", err)
	}
	if err := dk.Use(func([]byte) error { return nil }); !errors.Is(err, ErrClosed) {
		t.Errorf("data key after Close: %v", err)
	}
	if err := v.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

func TestCancelledContext(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Encrypt(ctx, k.ID, nil, nil); err != context.Canceled {
		t.Errorf("Encrypt with a context that ended: %v, want context.Canceled", err)
	}
}
