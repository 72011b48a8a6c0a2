package tpm

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"math/big"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/internal/suite"
)

// A grant is a policy applied to one vault.
type grant struct {
	Policy
	vault [16]byte
}

// ref returns the policyRef under which the vault's root is sealed in a mode, or nil in a
// mode whose approvals are not bound to a vault.
func (g grant) ref(mode byte) []byte {
	if mode != format.ModeBound {
		return nil
	}
	return approvalRef(g.vault, g.ApprovalNumber)
}

// approverArea returns the public area by which the TPM loads the approver's key.
func approverArea(key *ecdsa.PublicKey) (tpm2.TPMTPublic, error) {
	if key.Curve != elliptic.P256() {
		return tpm2.TPMTPublic{}, errApprover
	}
	point, err := key.Bytes()
	if err != nil {
		return tpm2.TPMTPublic{}, errApprover
	}
	return tpm2.TPMTPublic{
		Type:             tpm2.TPMAlgECC,
		NameAlg:          tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{SignEncrypt: true, UserWithAuth: true},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			CurveID: tpm2.TPMECCNistP256,
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{
			X: tpm2.TPM2BECCParameter{Buffer: point[1:33]},
			Y: tpm2.TPM2BECCParameter{Buffer: point[33:]},
		}),
	}, nil
}

// authorizePolicy returns the policy digest of TPM2_PolicyAuthorize for an approver. ref
// is nil for approvals of format 1.
func authorizePolicy(approver *ecdsa.PublicKey, ref []byte) ([]byte, error) {
	area, err := approverArea(approver)
	if err != nil {
		return nil, err
	}
	name, err := tpm2.ObjectName(&area)
	if err != nil {
		return nil, err
	}
	var code [4]byte
	binary.BigEndian.PutUint32(code[:], uint32(tpm2.TPMCCPolicyAuthorize))
	first := suite.AES.Hash(make([]byte, 32), code[:], name.Buffer)
	policy := suite.AES.Hash(first[:], ref)
	return policy[:], nil
}

// matchingApproval returns the approval for the present state of the machine. It skips
// approvals that the approver did not sign, so that a forged approval cannot hide a valid
// one.
func (d *device) matchingApproval(g grant, mode byte) (Approval, error) {
	ref, faults := g.ref(mode), map[approvalFault]int{}
	for _, a := range g.Approvals {
		if f := a.fault(g, ref); f != "" {
			faults[f]++
			continue
		}
		state, err := d.readPCRs(a.PCRs)
		if err != nil {
			return Approval{}, err
		}
		if slices.Equal(state.policy(), a.Policy) {
			return a, nil
		}
		faults[faultState]++
	}
	return Approval{}, errNoApproval(faults, len(g.Approvals))
}

// ticket has the TPM verify an approval, and returns the name of the approver's key and
// the ticket of the verification.
func (d *device) ticket(approver *ecdsa.PublicKey, a Approval, ref []byte) (tpm2.TPM2BName, tpm2.TPMTTKVerified, error) {
	var none tpm2.TPMTTKVerified
	area, err := approverArea(approver)
	if err != nil {
		return tpm2.TPM2BName{}, none, err
	}
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(a.Signature, &rs); err != nil || len(rest) != 0 || rs.R.Sign() <= 0 || rs.S.Sign() <= 0 || rs.R.BitLen() > 256 || rs.S.BitLen() > 256 {
		return tpm2.TPM2BName{}, none, fault("TPM2_VerifySignature", driver.Denied, errors.New("an approval without a signature"))
	}
	key, err := tpm2.LoadExternal{InPublic: tpm2.New2B(area), Hierarchy: tpm2.TPMRHOwner}.Execute(&d.link)
	if err != nil {
		return tpm2.TPM2BName{}, none, err
	}
	defer d.flush(key.ObjectHandle)
	rsp, err := tpm2.VerifySignature{
		KeyHandle: key.ObjectHandle,
		Digest:    tpm2.TPM2BDigest{Buffer: approved(a.Policy, ref)},
		Signature: tpm2.TPMTSignature{
			SigAlg: tpm2.TPMAlgECDSA,
			Signature: tpm2.NewTPMUSignature(tpm2.TPMAlgECDSA, &tpm2.TPMSSignatureECC{
				Hash:       tpm2.TPMAlgSHA256,
				SignatureR: tpm2.TPM2BECCParameter{Buffer: rs.R.FillBytes(make([]byte, 32))},
				SignatureS: tpm2.TPM2BECCParameter{Buffer: rs.S.FillBytes(make([]byte, 32))},
			}),
		},
	}.Execute(&d.link)
	if err != nil {
		return tpm2.TPM2BName{}, none, err
	}
	return key.Name, rsp.Validation, nil
}
