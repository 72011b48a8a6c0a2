package vault

import (
	"errors"
	"testing"

	"strongroom.example/audit"
)

// TestDryRunFor: an auditor learns what another principal may do, as that principal would, and
// nothing without the permission. Nothing is done, and each question is on record.
func TestDryRunFor(t *testing.T) {
	cfg := testConfig()
	cfg.Authorizer = authorizerFunc(func(r Request) (Decision, error) {
		switch r.Principal {
		case "app":
			return Decision{Allow: r.Operation == OpEncrypt && r.Context["tenant"] == "7" || r.Operation == OpDecrypt, Rule: "app"}, nil
		case "auditor": // not for the key "secret"
			return Decision{Allow: r.Operation == OpDryRunFor && r.Alias != "secret" && r.Subject != "boss", Rule: "auditor"}, nil
		}
		return Decision{Allow: r.Principal == DefaultOwner, Rule: "owner"}, nil
	})
	v, _ := newTestVault(t, cfg)
	ctx, owner, auditor := t.Context(), v.As(DefaultOwner), v.As("auditor")
	k := mustKey(t, owner, KeyOptions{Alias: "k"})
	mustKey(t, owner, KeyOptions{Alias: "secret"})
	mustKey(t, owner, KeyOptions{Alias: "off"})
	if err := owner.DisableKeys(ctx, "off"); err != nil {
		t.Fatal(err)
	}
	for i, x := range []struct {
		of      Principal
		op      Operation
		key     string
		context EncryptionContext
		allowed bool
		want    error
	}{
		{"app", OpEncrypt, "k", EncryptionContext{"tenant": "7"}, true, nil},
		{"app", OpEncrypt, k.ID, EncryptionContext{"tenant": "8"}, false, ErrDenied},
		{"app", OpDecrypt, "k", nil, true, nil},
		{"app", OpDecrypt, "off", nil, true, ErrKeyState},
		{"app", OpDecrypt, "absent", nil, true, ErrNotFound},
		{"app", OpDecrypt, "", nil, true, ErrNotFound},
		{"app", OpSign, "absent", nil, false, ErrDenied},
		{"app", OpGenerateRandom, "", nil, false, ErrDenied},
		{DefaultOwner, OpSign, "k", nil, true, ErrUsage},
		{DefaultOwner, OpGenerateRandom, "", nil, true, nil},
	} {
		got, err := auditor.DryRunFor(ctx, x.of, x.op, x.key, x.context)
		if err != nil || got.Allowed != x.allowed || !errors.Is(got.Err, x.want) || (got.Err == nil) != (x.want == nil) {
			t.Errorf("case %d: %+v, %v, want allowed %v, %v", i, got, err, x.allowed, x.want)
		}
		r := lastRecord(t, owner, OpDryRunFor)
		if r.Principal != "auditor" || r.Result != audit.OK || r.Rule != "auditor" || r.Detail["operation"] != string(x.op) ||
			r.Detail["principal"] != string(x.of) || (r.Detail["decision"] == "ALLOW") != x.allowed {
			t.Errorf("case %d: the record is %+v", i, r)
		}
	}
	for name, x := range map[string]struct {
		c    Client
		of   Principal
		key  string
		want error
	}{
		"a principal without the permission": {v.As("app"), "app", "k", ErrDenied},
		"another key":                        {auditor, "app", "secret", ErrDenied},
		"another subject":                    {auditor, "boss", "k", ErrDenied},
		"below a grant for something else":   {narrowedTo(t, owner, OpEncrypt), "app", "k", ErrDenied},
		"an empty principal":                 {owner, "", "k", ErrInvalid},
		"the vault itself":                   {owner, principalVault, "k", ErrInvalid},
	} {
		if got, err := x.c.DryRunFor(ctx, x.of, OpEncrypt, x.key, nil); !errors.Is(err, x.want) || got != (DryRunResult{}) {
			t.Errorf("%s: %+v, %v, want %v", name, got, err, x.want)
		}
	}
}
