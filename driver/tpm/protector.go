package tpm

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/suite"
)

// A Policy states when the TPM releases a root. With the zero Policy it always does, on
// this machine; that is suitable for machines whose firmware other parties update.
type Policy struct {
	// PCRs binds the root to the present values of registers. After a firmware update the
	// protector no longer opens the vault: keep another protector, and protect the root
	// again after the update (AddProtector, then RemoveProtector of the old one).
	//
	// The vault never does this by itself when another protector opens it, because
	// opening the vault is not an approval of the machine's state. The caller may be a
	// program with a key file, or a person under the control of an attacker who switched
	// Secure Boot off; the root would then be sealed to that state permanently. An
	// Approver avoids the manual step. On a TPM that was cleared or replaced the vault
	// seals the root to the present state, and the audit log records it.
	PCRs []uint
	// AcceptUnmeasured allows registers that nothing was measured into, whose value is
	// all zeros or all ones. Without it Protect fails with Invalid for such a register,
	// because the root would open in every state.
	AcceptUnmeasured bool
	// Approver binds the root to states that the owner of this P-256 key approves,
	// instead of the present values: an update that was approved in advance does not lock
	// the vault. Nil: no approver.
	Approver *ecdsa.PublicKey
	// Approvals are the known approvals of the Approver. Recover uses the one that
	// matches.
	Approvals []Approval
	// ApprovalNumber, if at least 1, binds the root to approvals for this vault and this
	// number, which ApproveFor makes; the TPM refuses all others. To revoke approvals,
	// raise it and protect the root again. 0 accepts the approvals that Approve makes,
	// which are valid for every vault and do not expire. A root that was sealed under 0
	// continues to open by those, whatever ApprovalNumber is, until it is protected
	// again.
	ApprovalNumber uint64
}

// A Protector seals roots in the TPM. It belongs to its Driver and has no Close.
type Protector struct {
	driver *Driver
	policy Policy
}

var _ driver.Protector = (*Protector)(nil)

var errPolicy = errors.New("a policy names PCRs or an approver, not both: an approver's approvals name the PCRs")

// Protector returns a protector with a policy. A contradictory policy is Invalid.
func (d *Driver) Protector(p Policy) (*Protector, error) {
	const op = "Protector"
	if len(p.PCRs) > 0 && p.Approver != nil {
		return nil, fault(op, driver.Invalid, errPolicy)
	}
	if len(p.PCRs) > 0 {
		if err := checkPCRs(op, p.PCRs); err != nil {
			return nil, err
		}
	}
	if p.Approver == nil && p.ApprovalNumber > 0 {
		return nil, fault(op, driver.Invalid, errors.New("an approval number is for approvals: name the Approver"))
	}
	if p.Approver == nil && len(p.Approvals) > 0 {
		return nil, fault(op, driver.Invalid, errors.New("a policy with approvals names who gave them, its Approver"))
	}
	if p.Approver != nil {
		if _, err := approverArea(p.Approver); err != nil {
			return nil, fault(op, driver.Invalid, err)
		}
	}
	return &Protector{d, p}, nil
}

// Kind returns "tpm".
func (p *Protector) Kind() string { return "tpm" }

// MachineBound returns true, because a sealed root is lost with this TPM.
func (p *Protector) MachineBound() bool { return true }

const rootSize = 32

// Protect seals root in the TPM under the present policy. Protecting the same root again
// replaces a blob that no longer opens. A root that is not 32 bytes long, or an
// unmeasured register, is Invalid.
func (p *Protector) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	const op = "TPM2_Create"
	if err := p.driver.enter(ctx, op); err != nil {
		return nil, err
	}
	defer p.driver.gate.Leave()
	if len(root) != rootSize {
		return nil, fault(op, driver.Invalid, errors.New("a root is 32 bytes long"))
	}
	tie := bindingDigest(b)
	payload := slices.Concat(root, tie[:])
	defer suite.Wipe(payload)
	var blob driver.Blob
	err := p.driver.do(ctx, op, queue.Urgent, func(d *device) (err error) {
		blob, err = d.seal(grant{p.policy, b.VaultID}, tie[:], payload)
		return err
	})
	return blob, err
}

// bindingDigest returns the digest that binds a root to its vault and edition. It is
// sealed with the root.
func bindingDigest(b driver.Binding) [suite.HashSize]byte {
	return suite.AES.Hash([]byte("strongroom tpm root\x00"), b.VaultID[:], []byte{byte(b.Edition)})
}

// Recover has the TPM unseal the root. Every refusal by the TPM is Denied. If the root
// was sealed by another TPM, or before this one was cleared, the cause is
// driver.ErrWrongDevice.
func (p *Protector) Recover(ctx context.Context, dst []byte, b driver.Binding, blob driver.Blob) ([]byte, error) {
	const op = "TPM2_Unseal"
	if err := p.driver.enter(ctx, op); err != nil {
		return nil, err
	}
	defer p.driver.gate.Leave()
	s, err := format.DecodeSealed(blob)
	if err != nil {
		return nil, fault(op, driver.Denied, err)
	}
	tie := bindingDigest(b)
	var out []byte
	err = p.driver.do(ctx, op, queue.Urgent, func(d *device) (err error) {
		out, err = d.unseal(grant{p.policy, b.VaultID}, s, func(payload []byte) ([]byte, error) {
			if len(payload) != rootSize+len(tie) || !hmac.Equal(payload[rootSize:], tie[:]) {
				return nil, fault(op, driver.Denied, errors.New("the blob is that of another vault"))
			}
			return append(dst, payload[:rootSize]...), nil
		})
		return err
	})
	if errors.Is(err, driver.ErrWrongDevice) {
		err = fault(op, driver.Denied, errOther)
	}
	return out, err
}

// sealArea returns the public area of a sealed root.
func sealArea(policy []byte, enforced bool) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgKeyedHash,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, NoDA: true,
			// With a policy, nothing but the policy opens the object, not even its
			// authorization value.
			UserWithAuth: !enforced, AdminWithPolicy: enforced,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{}),
		Unique:     tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{}),
	}
}

// seal seals a payload under a policy.
func (d *device) seal(g grant, tie, payload []byte) (driver.Blob, error) {
	s := format.Sealed{Mode: format.ModeNone}
	policy := tie
	switch {
	case g.Approver != nil:
		s.Mode = format.ModeApproved
		if g.ApprovalNumber > 0 {
			s.Mode = format.ModeBound
		}
		var err error
		if policy, err = authorizePolicy(g.Approver, g.ref(s.Mode)); err != nil {
			return nil, err
		}
	case len(g.PCRs) > 0:
		state, err := d.readPCRs(g.PCRs)
		if err == nil && !g.AcceptUnmeasured {
			err = state.checkMeasured("TPM2_Create", "set Policy.AcceptUnmeasured")
		}
		if err != nil {
			return nil, err
		}
		s.Mode, s.PCRs, policy = format.ModePCR, state.indices(), state.policy()
	}
	made, err := d.create(sealArea(policy, s.Mode != format.ModeNone), sensitiveInput{data: payload})
	if err != nil {
		return nil, err
	}
	s.Parent, s.Public, s.Private = made.parent, made.public, made.private
	if s.Mode == format.ModePCR {
		if err := d.checkSealed(g, s, payload); err != nil {
			return nil, err
		}
	}
	return s.Encode(), nil
}

// checkSealed unseals a payload that was just sealed to the present values of registers.
// If a register was extended between the reading and the sealing, the blob would never
// open.
func (d *device) checkSealed(g grant, s format.Sealed, payload []byte) error {
	_, err := d.unseal(g, s, func(got []byte) ([]byte, error) {
		if !hmac.Equal(got, payload) {
			return nil, wire.ErrResponse
		}
		return nil, nil
	})
	if errors.Is(err, driver.Denied) {
		return fault("TPM2_Unseal", driver.Unavailable, fmt.Errorf("what was sealed does not open; a register was extended at this moment, so try again (%v)", err))
	}
	return err
}
