// Policies shows access by policies: an operator, an application that may only
// encrypt, and an auditor who may only read. Each is refused what belongs to the others, and
// the audit log shows it.
//
//	go run ./examples/policies
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"strongroom.example/audit"
	"strongroom.example/driver/soft"
	"strongroom.example/examples/internal/demo"
	"strongroom.example/vault"
	"strongroom.example/vault/policy"
)

// rules are the policies of this vault. They demand a reason from the operator.
var rules = policy.Set{
	Cedar: `
@id("operators-manage")
permit(principal in Group::"operators", action in [Action::"manage", Action::"administer"], resource)
when { context.reason != "" };

@id("billing-encrypts")
permit(principal == Principal::"billing", action == Action::"Encrypt", resource)
when { resource.alias == "invoices" && context.encryptionContext.hasTag("tenant") };

@id("auditors-read")
permit(principal in Group::"auditors", action in Action::"read", resource);
`,
	Groups: map[string][]vault.Principal{"operators": {"olga"}, "auditors": {"arthur"}},
}

func main() { demo.Main(run) }

// run makes a vault below dir and prints what each principal may do.
func run(ctx context.Context, w io.Writer, dir string) (err error) {
	code, err := soft.NewRecoveryCode() // a real program keeps it
	if err != nil {
		return err
	}
	v, err := vault.Create(ctx, filepath.Join(dir, "vault"), vault.Config{Policies: policy.Cedar{}}, code)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	// Until the first policies are stored, the owner may do everything. These policies do not
	// mention the owner, so this is the last thing that it does.
	if _, err := policy.Put(vault.WithReason(ctx, "set-up"), v.As(vault.DefaultOwner), rules); err != nil {
		return err
	}
	tenant, reason := vault.EncryptionContext{"tenant": "7"}, vault.WithReason(ctx, "CHG-1")
	if _, err := v.As("olga").CreateKey(reason, vault.KeyOptions{Alias: "invoices"}); err != nil {
		return err
	}
	ciphertext, err := v.As("billing").Encrypt(ctx, "invoices", []byte("4711"), tenant)
	if err != nil {
		return err
	}
	for _, who := range []vault.Principal{"olga", "billing", "arthur"} {
		c := v.As(who)
		try := func(what string, err error) {
			if err != nil && !errors.Is(err, vault.ErrDenied) {
				what += ": " + err.Error()
			}
			fmt.Fprintf(w, "%-8s %-24s %v\n", who, what, map[bool]string{true: "allowed", false: "denied"}[err == nil])
		}
		try("disables without a reason", c.DisableKeys(ctx, "invoices"))
		try("disables for CHG-2", c.DisableKeys(vault.WithReason(ctx, "CHG-2"), "invoices"))
		_ = v.As("olga").EnableKeys(reason, "invoices")
		_, err = c.Encrypt(ctx, "invoices", []byte("4712"), tenant)
		try("encrypts", err)
		_, err = c.Decrypt(ctx, ciphertext, tenant)
		try("decrypts", err)
		_, err = c.DescribeKey(ctx, "invoices")
		try("describes the key", err)
	}
	return report(ctx, w, v.As("arthur"))
}

// report prints the refusals that the audit log has, and why the application was refused.
func report(ctx context.Context, w io.Writer, auditor vault.Client) error {
	fmt.Fprintln(w, "\nrefused, by the audit log:")
	for r, err := range auditor.AuditRecords(ctx, audit.Filter{Result: audit.Refused}) {
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-8s %s\n", r.Principal, r.Operation)
	}
	why, err := auditor.ExplainPolicy(ctx, vault.Request{Principal: "billing", Operation: vault.OpEncrypt, Key: "invoices"})
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "\nwhy billing may not encrypt without a tenant:")
	for _, reason := range why.Reasons {
		fmt.Fprintln(w, reason)
	}
	return nil
}
