package tpm

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

var errState = errors.New("this machine did not start in the state that the root is sealed to: its firmware, its boot loader or their settings changed; open the vault by another protector, and protect the root anew")

// unseal has the TPM release a sealed payload, passes it to take, and wipes it.
func (d *device) unseal(g grant, s sealed, take func([]byte) ([]byte, error)) ([]byte, error) {
	const op = "TPM2_Unseal"
	if !bytes.Equal(s.parent, d.srk.name) {
		return nil, fault(op, driver.Denied, errOther)
	}
	d.makeRoom()
	r := &resident{public: s.public, private: s.private}
	var err error
	if r.handle, err = d.load(r); err != nil {
		return nil, d.denied(d.judge(s.parent, err))
	}
	defer d.flush(r.handle)
	const fresh = 3
	for try := 1; ; try++ {
		out, err := d.unsealOnce(g, s, opening{r.entity(), take})
		// A policy session becomes void when any program extends any register.
		if codeOf(err) != tpm2.TPMRCPCRChanged || try == fresh {
			return out, d.denied(err)
		}
	}
}

// An opening is a loaded sealed object and the function that receives its content.
type opening struct {
	object entity
	take   func([]byte) ([]byte, error)
}

func (d *device) unsealOnce(g grant, s sealed, o opening) ([]byte, error) {
	session := d.session
	if s.mode != modeNone {
		var err error
		if session, err = d.policySession(g, s); err != nil {
			return nil, err
		}
		defer session.drop()
		defer d.flush(session.handle)
	}
	rsp, err := d.execute(command{code: tpm2.TPMCCUnseal, handles: []entity{o.object}, session: session, out: true})
	if err != nil {
		return nil, err
	}
	defer suite.Wipe(rsp.params)
	content := reader{rest: rsp.params}
	payload := content.sized()
	if err := content.done(); err != nil {
		return nil, err
	}
	return o.take(payload)
}

// policySession starts a session and satisfies the policy in it.
func (d *device) policySession(g grant, s sealed) (*session, error) {
	pcrs := s.pcrs
	var approval Approval
	byApprover := s.mode == modeApproved || s.mode == modeBound
	if byApprover {
		if err := g.names(s.mode); err != nil {
			return nil, err
		}
		var err error
		if approval, err = d.fitting(g, s.mode); err != nil {
			return nil, err
		}
		pcrs = approval.PCRs
	}
	session, err := d.startSession(tpm2.TPMSEPolicy)
	if err != nil {
		return nil, err
	}
	_, err = tpm2.PolicyPCR{PolicySession: session.handle, Pcrs: selection(pcrs)}.Execute(&d.link)
	if err == nil && byApprover {
		err = d.authorize(session, g, approval, g.ref(s.mode))
	}
	if err != nil {
		d.flush(session.handle)
		session.drop()
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
	if mode == modeBound && g.ApprovalNumber == 0 {
		return fault(op, driver.Denied, errors.New("the root is sealed under an approval number: name it in the policy"))
	}
	return nil
}

// authorize replaces the approved policy in a session by the approver's
// (TPM2_PolicyAuthorize).
func (d *device) authorize(s *session, g grant, a Approval, ref []byte) error {
	name, ticket, err := d.ticket(g.Approver, a, ref)
	if err != nil {
		return err
	}
	_, err = tpm2.PolicyAuthorize{
		PolicySession:  s.handle,
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
	code := codeOf(err)
	switch {
	case errors.Is(err, driver.ErrWrongDevice):
		return fault(op, driver.Denied, errOther)
	case errors.Is(err, driver.Authentic):
		return fault(op, driver.Denied, errDamaged)
	case code == 0 || remedyOf(code) != surface:
		return err
	case base(code) == tpm2.TPMRCPolicyFail, base(code) == tpm2.TPMRCPolicy, code == tpm2.TPMRCPCRChanged:
		return &driver.Error{Op: op, Class: driver.Denied, Code: uint64(code), Err: errState}
	case code&0x80 != 0:
		return &driver.Error{Op: op, Class: driver.Denied, Code: uint64(code), Err: fmt.Errorf("%w", err)}
	}
	return err
}
