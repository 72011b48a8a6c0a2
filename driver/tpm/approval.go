package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// An Approval is an approver's signed statement that the TPM may release a root sealed
// under the approver's key while the registers PCRs have the approved values. It is not
// secret, and can be stored and sent in any form, such as JSON.
type Approval struct {
	PCRs      []uint
	Policy    []byte // the approved policy digest
	Signature []byte // ECDSA, ASN.1 DER; verified by the TPM

	// Format is 0 or 1 for an approval that Approve made, and 2 for one that ApproveFor
	// made. The fields that follow exist in format 2 only.
	Format         uint8         `json:",omitzero"`
	Terms          ApprovalTerms `json:",omitzero"`
	TermsSignature []byte        `json:",omitempty"` // ECDSA, ASN.1 DER; verified by the driver
}

// ApprovalTerms limit an approval to one vault, one approval number and, optionally, a
// time.
type ApprovalTerms struct {
	// VaultID identifies the vault: 32 hexadecimal digits, as vault.Vault.ID returns.
	VaultID string
	// Number is the Policy.ApprovalNumber under which the vault's root is sealed, at
	// least 1.
	Number uint64
	// NotAfter is when the approval expires, to the second. An approval with the zero
	// time does not expire.
	NotAfter time.Time `json:",omitzero"`
}

const (
	approvalBound = 2 // the format that ApproveFor makes

	labelApproval = "strongroom tpm approval\x00"
	labelTerms    = "strongroom tpm approval terms\x00"
)

var (
	errApprover = errors.New("an approver has an ECDSA key on P-256")
	errTerms    = errors.New("an approval's terms have a vault's id, 32 hexadecimal digits, and a number from 1")
)

// Approve signs an approval that a machine in the given state may recover any root that
// is sealed under the approver's key with Policy.ApprovalNumber 0. The approver's key is
// ECDSA on P-256. The state is either the present one (ReadPCRs) or one precomputed for
// the next firmware. Such an approval is valid for every vault, does not expire and
// cannot be revoked; ApproveFor makes one with terms.
//
// Errors:
//   - driver.Invalid: the key is of another kind, or state holds no register, one that
//     cannot be bound to, or one that nothing was measured into.
//   - driver.Unknown: the approver does not sign.
func Approve(approver crypto.Signer, state PCRs) (Approval, error) {
	if err := state.approvable(); err != nil {
		return Approval{}, err
	}
	a := Approval{PCRs: state.indices(), Policy: state.policy()}
	err := a.sign(approver, &a.Signature, approved(a.Policy, nil))
	if err != nil {
		return Approval{}, err
	}
	return a, nil
}

// ApproveFor signs an approval that a machine in the given state may recover the root of
// one vault, which is sealed under the approver's key and the number in terms.
//
// The TPM enforces state, vault and number. The driver alone enforces NotAfter, by the
// clock of the machine; a program that an attacker starts in an approved state does not
// check it. To revoke approvals, raise Policy.ApprovalNumber and protect the root again:
// AddProtector, RemoveProtector of the old one, then RotateRoot, because an old copy of
// the root file is sealed under the old number.
//
// Errors are those of Approve; malformed terms are driver.Invalid.
func ApproveFor(approver crypto.Signer, state PCRs, terms ApprovalTerms) (Approval, error) {
	ref, err := terms.ref()
	if err != nil {
		return Approval{}, fault("Approve", driver.Invalid, err)
	}
	if err := state.approvable(); err != nil {
		return Approval{}, err
	}
	a := Approval{PCRs: state.indices(), Policy: state.policy(), Format: approvalBound, Terms: terms}
	if err := a.sign(approver, &a.Signature, approved(a.Policy, ref)); err != nil {
		return Approval{}, err
	}
	if err := a.sign(approver, &a.TermsSignature, a.termsDigest(ref)); err != nil {
		return Approval{}, err
	}
	return a, nil
}

// approvable returns an Invalid error for a state to which an approval cannot be bound.
func (p PCRs) approvable() error {
	const op = "Approve"
	if err := checkPCRs(op, p.indices()); err != nil {
		return err
	}
	return p.checkMeasured(op, "leave them out of the state")
}

// sign stores the approver's signature over digest in at.
func (a *Approval) sign(approver crypto.Signer, at *[]byte, digest []byte) error {
	const op = "Approve"
	if key, ok := approver.Public().(*ecdsa.PublicKey); !ok || key.Curve != elliptic.P256() {
		return fault(op, driver.Invalid, errApprover)
	}
	signature, err := approver.Sign(rand.Reader, digest, crypto.SHA256)
	if err != nil {
		return fault(op, driver.Unknown, err)
	}
	*at = signature
	return nil
}

// ref returns the policyRef by which the TPM binds approvals to a vault and a number.
func (t ApprovalTerms) ref() ([]byte, error) {
	id, err := hex.DecodeString(t.VaultID)
	if err != nil || len(id) != 16 || t.Number == 0 {
		return nil, errTerms
	}
	return approvalRef([16]byte(id), t.Number), nil
}

func approvalRef(vault [16]byte, number uint64) []byte {
	ref := suite.AES.Hash([]byte(labelApproval), vault[:], binary.BigEndian.AppendUint64(nil, number))
	return ref[:]
}

// approved returns the digest that the approver signs and the TPM verifies: of a policy
// and a policyRef, which is empty in format 1.
func approved(policy, ref []byte) []byte {
	h := suite.AES.Hash(policy, ref)
	return h[:]
}

// termsDigest returns the digest that the approver signs and the driver verifies: of the
// expiry, and of everything that the TPM verifies.
func (a *Approval) termsDigest(ref []byte) []byte {
	var end uint64
	if !a.Terms.NotAfter.IsZero() {
		end = uint64(a.Terms.NotAfter.Unix())
	}
	h := suite.AES.Hash([]byte(labelTerms), a.Policy, ref, binary.BigEndian.AppendUint64(nil, end))
	return h[:]
}

// An approvalFault is the reason why Recover skips an approval.
type approvalFault string

const (
	faultSigned  approvalFault = "not signed by the approver"
	faultVault   approvalFault = "for another vault or number"
	faultEnded   approvalFault = "ended"
	faultFormat  approvalFault = "of the format that the root is not sealed for"
	faultUnknown approvalFault = "of a format that this program does not know"
	faultState   approvalFault = "for another state"
)

// fault returns why an approval cannot be used, apart from the machine's state. It is
// empty if the approval can be used.
func (a *Approval) fault(g grant, ref []byte) approvalFault {
	signed := func(digest, signature []byte) bool { return ecdsa.VerifyASN1(g.Approver, digest, signature) }
	switch {
	case a.Format > approvalBound:
		return faultUnknown
	case (a.Format == approvalBound) != (ref != nil):
		return faultFormat
	case checkPCRs("Recover", a.PCRs) != nil:
		return faultSigned
	case ref == nil && !signed(approved(a.Policy, nil), a.Signature):
		return faultSigned
	case ref == nil:
		return ""
	}
	theirs, err := a.Terms.ref()
	switch {
	case err != nil || !signed(approved(a.Policy, theirs), a.Signature) || !signed(a.termsDigest(theirs), a.TermsSignature):
		return faultSigned
	case string(theirs) != string(ref):
		return faultVault
	case !a.Terms.NotAfter.IsZero() && time.Now().Unix() > a.Terms.NotAfter.Unix():
		return faultEnded
	}
	return ""
}

// errNoApproval returns the error of a Recover for which no approval can be used, with a
// count of the approvals for each reason.
func errNoApproval(faults map[approvalFault]int, total int) error {
	text := ""
	for _, f := range []approvalFault{faultState, faultSigned, faultVault, faultEnded, faultFormat, faultUnknown} {
		if n := faults[f]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, f)
		}
	}
	if text == "" {
		text = ", none are given"
	}
	return fault("TPM2_PolicyAuthorize", driver.Denied, fmt.Errorf("none of %d approvals is the approver's for the state that this machine started in, "+
		"the vault and Policy.ApprovalNumber (%s): have the approver sign it (ReadPCRs, Approve, ApproveFor), or open the vault by another protector", total, text[2:]))
}
