package tpm

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// PCRs are values of platform configuration registers in the SHA-256 bank: what the
// firmware and the boot loader have measured. 0 to 7 are the firmware's; 7 is the
// state of Secure Boot.
type PCRs map[uint][32]byte

var errPCR = errors.New("a policy takes PCRs 0 to 15 and 17 to 20: the others can be reset by any program")

// bindable reports whether a PCR can be bound to.
func bindable(index uint) bool { return index <= 15 || index >= 17 && index <= 20 }

// indices lists the registers in order.
func (p PCRs) indices() []uint { return slices.Sorted(maps.Keys(p)) }

// ReadPCRs reads registers of the TPM, for Approve.
func (d *Driver) ReadPCRs(ctx context.Context, indices ...uint) (PCRs, error) {
	const op = "TPM2_PCR_Read"
	if err := d.enter(ctx, op); err != nil {
		return nil, err
	}
	defer d.gate.Leave()
	if err := checkPCRs(op, indices); err != nil {
		return nil, err
	}
	var state PCRs
	err := d.queue.do(op, &job{ctx: ctx, lane: urgent, cost: op, act: func(dev *device) (err error) {
		state, err = dev.readPCRs(indices)
		return err
	}})
	return state, err
}

func checkPCRs(op string, indices []uint) error {
	if len(indices) == 0 || slices.ContainsFunc(indices, func(i uint) bool { return !bindable(i) }) {
		return fault(op, driver.Invalid, errPCR)
	}
	return nil
}

// readPCRs reads registers, each on its own, since the TPM gives as many at a time as it
// likes.
func (d *device) readPCRs(indices []uint) (PCRs, error) {
	state := make(PCRs)
	for _, index := range indices {
		rsp, err := tpm2.PCRRead{PCRSelectionIn: selection([]uint{index})}.Execute(&d.link)
		if err != nil {
			return nil, err
		}
		if len(rsp.PCRValues.Digests) != 1 || len(rsp.PCRValues.Digests[0].Buffer) != 32 {
			return nil, fault("TPM2_PCR_Read", driver.Unsupported, errors.New("the TPM keeps no SHA-256 bank of PCRs; switch it on in the firmware setup"))
		}
		state[index] = [32]byte(rsp.PCRValues.Digests[0].Buffer)
	}
	return state, nil
}

func selection(indices []uint) tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash:      tpm2.TPMAlgSHA256,
		PCRSelect: tpm2.PCClientCompatible.PCRs(indices...),
	}}}
}

// policy is the digest of the policy that registers have these values (TPM2_PolicyPCR).
func (p PCRs) policy() []byte {
	var values [][]byte
	for _, index := range p.indices() {
		v := p[index]
		values = append(values, v[:])
	}
	digest := suite.AES.Hash(values...)
	var code [4]byte
	binary.BigEndian.PutUint32(code[:], uint32(tpm2.TPMCCPolicyPCR))
	policy := suite.AES.Hash(make([]byte, 32), code[:], tpm2.Marshal(selection(p.indices())), digest[:])
	return policy[:]
}
