package tpm_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
)

// terms returns terms for the vault of the tests.
func terms(number uint64) tpm.ApprovalTerms {
	return tpm.ApprovalTerms{VaultID: hex.EncodeToString(binding.VaultID[:]), Number: number}
}

// approveFor approves the present state for a vault.
func approveFor(t testing.TB, d *tpm.Driver, key *ecdsa.PrivateKey, terms tpm.ApprovalTerms) tpm.Approval {
	t.Helper()
	state, err := d.ReadPCRs(context.Background(), 0, 4, 7)
	if err != nil {
		t.Fatal(err)
	}
	a, err := tpm.ApproveFor(key, state, terms)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestBoundApproval checks that a root that is sealed under an approval number opens by
// valid approvals for this vault and number, and by no others.
func TestBoundApproval(t *testing.T) {
	d := openFresh(t)
	key, unbound := newApprover(t, d)
	with := func(number uint64, approvals ...tpm.Approval) *tpm.Protector {
		return protector(t, d, tpm.Policy{Approver: &key.PublicKey, ApprovalNumber: number, Approvals: approvals})
	}
	right := approveFor(t, d, key, terms(2))
	root, blob := seal(t, with(2))
	opens(t, with(2, right), root, blob, "approved")

	soon, past := terms(2), terms(2)
	soon.NotAfter, past.NotAfter = time.Now().Add(time.Hour), time.Now().Add(-2*time.Second)
	opens(t, with(2, approveFor(t, d, key, soon)), root, blob, "approved for an hour")
	ended := approveFor(t, d, key, past)
	longer := ended
	longer.Terms.NotAfter = time.Time{}
	other := terms(2)
	other.VaultID = strings.Repeat("ab", 16)
	stranger, _ := newApprover(t, d)
	forged := approveFor(t, d, stranger, terms(2))
	unknown := right
	unknown.Format = 3
	renumbered := approveFor(t, d, key, terms(1))
	renumbered.Terms.Number = 2
	stripped := right
	stripped.Format = 1
	for why, a := range map[string]tpm.Approval{
		"1 ended":                           ended,
		"1 not signed by the approver":      longer,
		"1 for another vault":               approveFor(t, d, key, other),
		"1 for another vault or number":     approveFor(t, d, key, terms(1)),
		"1 of the format":                   unbound,
		"1 of a format":                     unknown,
		"(1 not signed by the approver)":    renumbered,
		"(1 not signed by the approver): ":  forged,
		"1 of the format that the root is ": stripped,
	} {
		if err := refuses(t, with(2, a), blob, why); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("Recover: %v, want an error that contains %q", err, why)
		}
		opens(t, with(2, a, right), root, blob, "approved by another one as well, which is "+why)
	}
	refuses(t, with(0, unbound, right), blob, "by a policy without the number")
	refuses(t, with(3, right, approveFor(t, d, key, terms(3))), blob, "by a policy with the next number")

	// After the number was raised, earlier approvals must not open the root.
	next, fresh := approveFor(t, d, key, terms(3)), with(3)
	again, err := fresh.Protect(context.Background(), binding, root)
	if err != nil {
		t.Fatal(err)
	}
	opens(t, with(3, next), root, again, "protected again under the next number")
	refuses(t, with(3, right), again, "approved under the former number")

	// A root that was sealed without a number must still open.
	oldRoot, old := seal(t, with(0))
	opens(t, with(2, unbound), oldRoot, old, "sealed without a number, by an approval without one")
	refuses(t, with(2, right), old, "sealed without a number, by an approval with one")
}

// TestApprovalOfAnotherVault checks the TPM itself, without the driver's checks: an
// approval for another vault or number must not satisfy the policy.
func TestApprovalOfAnotherVault(t *testing.T) {
	d := openFresh(t)
	key, _ := newApprover(t, d)
	policy := tpm.Policy{Approver: &key.PublicKey, ApprovalNumber: 1}
	_, blob := seal(t, protector(t, d, policy))
	other := driver.Binding{VaultID: [16]byte{9}}
	policy.Approvals = []tpm.Approval{approveFor(t, d, key, tpm.ApprovalTerms{VaultID: hex.EncodeToString(other.VaultID[:]), Number: 1})}
	// With the other vault's binding the driver accepts its approval.
	if got, err := protector(t, d, policy).Recover(context.Background(), nil, other, blob); !errors.Is(err, driver.Denied) || len(got) > 0 {
		t.Errorf("Recover by an approval for another vault: %d bytes, %v; want %v", len(got), err, driver.Denied)
	} else if !strings.Contains(err.Error(), "this machine did not start in the state") {
		t.Errorf("Recover by an approval for another vault: %v; want the TPM's refusal of the policy", err)
	}
	policy.Approvals = []tpm.Approval{approveFor(t, d, key, terms(2))}
	policy.ApprovalNumber = 2
	refuses(t, protector(t, d, policy), blob, "by an approval under the next number")
}

// TestApprovalsAreKept checks that an approval survives encoding as JSON, and that an
// approval from before format 2 can be decoded.
func TestApprovalsAreKept(t *testing.T) {
	d := openFresh(t)
	key, unbound := newApprover(t, d)
	end := terms(1)
	end.NotAfter = time.Now().Add(time.Hour)
	for number, a := range []tpm.Approval{unbound, approveFor(t, d, key, end)} {
		text, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if number == 0 && strings.Count(string(text), ":") != 3 {
			t.Errorf("an approval of format 1 is encoded as %s, want only PCRs, Policy and Signature", text)
		}
		var got tpm.Approval
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		p := protector(t, d, tpm.Policy{Approver: &key.PublicKey, ApprovalNumber: uint64(number), Approvals: []tpm.Approval{got}})
		root, blob := seal(t, p)
		opens(t, p, root, blob, "by an approval from JSON")
	}
}

// TestApprovalTermsInvalid checks that terms without a vault or a number are Invalid.
func TestApprovalTermsInvalid(t *testing.T) {
	d := openFresh(t)
	key, _ := newApprover(t, d)
	state, err := d.ReadPCRs(context.Background(), 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []tpm.ApprovalTerms{{}, {Number: 1}, {VaultID: terms(1).VaultID}, {VaultID: "ab", Number: 1}, {VaultID: strings.Repeat("x", 32), Number: 1}} {
		if _, err := tpm.ApproveFor(key, state, bad); !errors.Is(err, driver.Invalid) {
			t.Errorf("ApproveFor with terms %+v: %v, want %v", bad, err, driver.Invalid)
		}
	}
	if _, err := d.Protector(tpm.Policy{ApprovalNumber: 1}); !errors.Is(err, driver.Invalid) {
		t.Errorf("Protector with a number and without an approver: %v, want %v", err, driver.Invalid)
	}
}
