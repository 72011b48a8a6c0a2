package tpm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/suite"
)

var errState = errors.New("this machine did not start in the state that the root is sealed to: its firmware, its boot loader or their settings changed; open the vault by another protector, and protect the root again")

// unseal has the TPM release a sealed payload, passes it to take, and wipes it.
func (d *device) unseal(g grant, s format.Sealed, take func([]byte) ([]byte, error)) ([]byte, error) {
	const op = "TPM2_Unseal"
	if !bytes.Equal(s.Parent, d.srk.Name) {
		return nil, fault(op, driver.Denied, errOther)
	}
	d.freeSlot()
	r := &resident{public: s.Public, private: s.Private}
	var err error
	if r.handle, err = d.load(r); err != nil {
		return nil, d.denied(d.loadError(s.Parent, err))
	}
	defer d.flush(r.handle)
	const fresh = 3
	for try := 1; ; try++ {
		out, err := d.unsealOnce(g, s, opening{r.entity(), take})
		// A policy session becomes void when any program extends any register.
		if wire.CodeOf(err) != tpm2.TPMRCPCRChanged || try == fresh {
			return out, d.denied(err)
		}
	}
}

// An opening is a loaded sealed object and the function that receives its content.
type opening struct {
	object wire.Entity
	take   func([]byte) ([]byte, error)
}

func (d *device) unsealOnce(g grant, s format.Sealed, o opening) ([]byte, error) {
	session := d.session
	if s.Mode != format.ModeNone {
		var err error
		if session, err = d.policySession(g, s); err != nil {
			return nil, err
		}
		defer session.Free()
		defer d.flush(session.Handle)
	}
	rsp, err := d.execute(wire.Command{Code: tpm2.TPMCCUnseal, Handles: []wire.Entity{o.object}, Session: session, EncryptOut: true})
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(rsp.Params)
	content := wire.Reader{Rest: rsp.Params}
	payload := content.Sized()
	if err := content.Done(); err != nil {
		return nil, err
	}
	return o.take(payload)
}

// policySession starts a session and satisfies the policy in it.
func (d *device) policySession(g grant, s format.Sealed) (*wire.Session, error) {
	pcrs := s.PCRs
	var approval Approval
	byApprover := s.Mode == format.ModeApproved || s.Mode == format.ModeBound
	if byApprover {
		if err := g.names(s.Mode); err != nil {
			return nil, err
		}
		var err error
		if approval, err = d.matchingApproval(g, s.Mode); err != nil {
			return nil, err
		}
		pcrs = approval.PCRs
	}
	session, err := d.startSession(tpm2.TPMSEPolicy)
	if err != nil {
		return nil, err
	}
	_, err = tpm2.PolicyPCR{PolicySession: session.Handle, Pcrs: selection(pcrs)}.Execute(&d.link)
	if err == nil && byApprover {
		err = d.authorize(session, g, approval, g.ref(s.Mode))
	}
	if err != nil {
		d.flush(session.Handle)
		session.Free()
		return nil, err
	}
	return session, nil
}

// names returns an error unless the Policy has the fields that a mode needs.
func (g grant) names(mode byte) error {
	const op = "TPM2_PolicyAuthorize"
	if g.Approver == nil {
		return fault(op, driver.Denied, errors.New("the root is sealed under an approver's key: name it in the policy, and the approvals"))
	}
	if mode == format.ModeBound && g.ApprovalNumber == 0 {
		return fault(op, driver.Denied, errors.New("the root is sealed under an approval number: name it in the policy"))
	}
	return nil
}

// authorize replaces the approved policy in a session by the approver's
// (TPM2_PolicyAuthorize).
func (d *device) authorize(s *wire.Session, g grant, a Approval, ref []byte) error {
	name, ticket, err := d.ticket(g.Approver, a, ref)
	if err != nil {
		return err
	}
	_, err = tpm2.PolicyAuthorize{
		PolicySession:  s.Handle,
		ApprovedPolicy: tpm2.TPM2BDigest{Buffer: a.Policy},
		PolicyRef:      tpm2.TPM2BDigest{Buffer: ref},
		KeySign:        name,
		CheckTicket:    ticket,
	}.Execute(&d.link)
	return err
}

// denied classifies an error of unsealing. A refusal by the TPM, by any code, is Denied;
// a TPM that is in no state to respond is not.
func (d *device) denied(err error) error {
	const op = "TPM2_Unseal"
	code := wire.CodeOf(err)
	switch {
	case errors.Is(err, driver.ErrWrongDevice):
		return fault(op, driver.Denied, errOther)
	case errors.Is(err, driver.Authentic):
		return fault(op, driver.Denied, format.ErrDamaged)
	case code == 0 || wire.ActionOf(code) != wire.Report:
		return err
	case wire.Base(code) == tpm2.TPMRCPolicyFail, wire.Base(code) == tpm2.TPMRCPolicy, code == tpm2.TPMRCPCRChanged:
		return &driver.Error{Op: op, Class: driver.Denied, Code: uint64(code), Err: errState}
	case code&0x80 != 0:
		return &driver.Error{Op: op, Class: driver.Denied, Code: uint64(code), Err: fmt.Errorf("%w", err)}
	}
	return err
}
