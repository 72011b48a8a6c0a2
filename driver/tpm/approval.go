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

// An Approval lets a TPM give out what is sealed under an approver's key while the
// registers PCRs have the values that were approved. It is no secret, and may be kept
// and sent in any form, such as JSON.
type Approval struct {
	PCRs      []uint
	Policy    []byte // digest of the policy that is approved
	Signature []byte // ECDSA, ASN.1, which the TPM verifies

	// Format is 0 or 1 for an approval that Approve made, 2 for one that ApproveFor made.
	// The fields that follow are of format 2.
	Format         uint8         `json:",omitzero"`
	Terms          ApprovalTerms `json:",omitzero"`
	TermsSignature []byte        `json:",omitempty"` // ECDSA, ASN.1, which the driver verifies
}

// ApprovalTerms say what an approval is for.
type ApprovalTerms struct {
	// VaultID is the vault, as vault.Vault.ID returns it: 32 hexadecimal digits.
	VaultID string
	// Number is the Policy.ApprovalNumber that the vault's root is sealed under, from 1.
	Number uint64
	// NotAfter ends the approval, to the second. The zero time: it does not end.
	NotAfter time.Time `json:",omitzero"`
}

const (
	approvalBound = 2 // the format of what ApproveFor makes

	labelApproval = "strongroom tpm approval\x00"
	labelTerms    = "strongroom tpm approval terms\x00"
)

var (
	errApprover = errors.New("an approver has an ECDSA key on P-256")
	errTerms    = errors.New("an approval's terms have a vault's id, 32 hexadecimal digits, and a number from 1")
)

// Approve signs that a machine in a state may have whatever is sealed under the approver's
// key with Policy.ApprovalNumber 0: ECDSA on P-256. The state is that of now (ReadPCRs), or
// one that is foretold for the next firmware. Such an approval is for every vault, has no
// end and cannot be taken back; ApproveFor makes one that is bound.
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

// ApproveFor signs that a machine in a state may have the root of one vault, which is
// sealed under the approver's key and the number in terms.
//
// The TPM itself holds an approval to state, vault and number. NotAfter is held by the
// driver alone, by the clock of the machine: a program that an attacker starts in a state
// that was approved does not ask. To take approvals back, raise Policy.ApprovalNumber and
// protect the root again (AddProtector, then RemoveProtector of the old one, then
// RotateRoot, because an old copy of the root file is sealed under the old number).
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

// approvable returns Invalid for a state that an approval would not bind to.
func (p PCRs) approvable() error {
	const op = "Approve"
	if err := checkPCRs(op, p.indices()); err != nil {
		return err
	}
	return p.checkMeasured(op, "leave them out of the state")
}

// sign puts a signature of the approver over digest into at.
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

// ref is the policyRef by which the TPM holds approvals to a vault and a number.
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

// approved is what the TPM has an approver sign: a policy and a policyRef, which is empty
// in format 1.
func approved(policy, ref []byte) []byte {
	h := suite.AES.Hash(policy, ref)
	return h[:]
}

// termsDigest is what an approver signs for the driver: the terms' end, with what the TPM
// verifies.
func (a *Approval) termsDigest(ref []byte) []byte {
	var end uint64
	if !a.Terms.NotAfter.IsZero() {
		end = uint64(a.Terms.NotAfter.Unix())
	}
	h := suite.AES.Hash([]byte(labelTerms), a.Policy, ref, binary.BigEndian.AppendUint64(nil, end))
	return h[:]
}

// An approvalFault is why an approval is passed over.
type approvalFault string

const (
	faultSigned  approvalFault = "not signed by the approver"
	faultVault   approvalFault = "for another vault or number"
	faultEnded   approvalFault = "ended"
	faultFormat  approvalFault = "of the format that the root is not sealed for"
	faultUnknown approvalFault = "of a format that this program does not know"
	faultState   approvalFault = "for another state"
)

// fault judges an approval but for the state of the machine. Empty: it can be used.
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

// noneFits says why none of the approvals fits.
func noneFits(faults map[approvalFault]int, total int) error {
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
