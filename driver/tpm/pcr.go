package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/format"
	"strongroom.example/driver/tpm/internal/queue"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/suite"
)

// PCRs are values of platform configuration registers in the SHA-256 bank, by index. The
// firmware and the boot loader extend the registers with their measurements. Registers 0
// to 7 are the firmware's; 7 is the state of Secure Boot.
type PCRs map[uint][32]byte

var errPCR = errors.New("a policy takes PCRs 0 to 15 and 17 to 20: the others can be reset by any program")

// indices returns the registers in ascending order.
func (p PCRs) indices() []uint { return slices.Sorted(maps.Keys(p)) }

// ReadPCRs reads the present values of registers, for Approve. The TPM authenticates the
// response in a session that is salted to the storage root key.
//
// Errors:
//   - Invalid: indices is empty, or names a register that a policy cannot use.
//   - Unsupported: the TPM keeps no SHA-256 bank.
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
	err := d.do(ctx, op, queue.Urgent, func(dev *device) (err error) {
		state, err = dev.readPCRs(indices)
		return err
	})
	return state, err
}

func checkPCRs(op string, indices []uint) error {
	if len(indices) == 0 || slices.ContainsFunc(indices, func(i uint) bool { return !format.Bindable(i) }) {
		return fault(op, driver.Invalid, errPCR)
	}
	return nil
}

// readPCRs reads registers one by one, because a TPM returns only as many at a time as it
// chooses. It reads in an audit session that is salted to the storage root key, so that
// an interposer on the bus can neither choose the state to which a root is sealed nor
// replay an earlier one.
func (d *device) readPCRs(indices []uint) (PCRs, error) {
	state := make(PCRs)
	for _, index := range indices {
		value, err := d.readPCR(index)
		if err != nil {
			return nil, err
		}
		state[index] = value
	}
	return state, nil
}

// readPCR reads one register. The response holds the update counter, the selection that
// was read, and the values.
func (d *device) readPCR(index uint) (value [32]byte, err error) {
	which := tpm2.Marshal(selection([]uint{index}))
	rsp, err := d.execute(wire.Command{Code: tpm2.TPMCCPCRRead, Params: which, Session: d.session, Audit: true})
	if err != nil {
		return value, err
	}
	r := wire.Reader{Rest: rsp.Params}
	r.U32()
	selected := r.Rest
	for range min(r.U32(), 16) { // hash algorithms
		r.U16()
		r.Bytes(int(r.U8()))
	}
	selected = selected[:len(selected)-len(r.Rest)]
	if n := r.U32(); r.Bad {
		return value, wire.ErrResponse
	} else if n != 1 || !bytes.Equal(selected, which) {
		return value, fault("TPM2_PCR_Read", driver.Unsupported, errors.New("the TPM keeps no SHA-256 bank of PCRs; switch it on in the firmware setup"))
	}
	if copy(value[:], r.Sized()) != len(value) || r.Done() != nil {
		return value, wire.ErrResponse
	}
	return value, nil
}

// unmeasured returns the registers that nothing was measured into. Such a register has
// its reset value, all zeros or all ones. Firmware that extends only the SHA-1 bank
// leaves the SHA-256 bank that way. A policy on such a register is satisfied in every
// state of the machine.
func (p PCRs) unmeasured() (indices []uint) {
	for _, index := range p.indices() {
		v := p[index]
		if len(bytes.Trim(v[:], "\x00")) == 0 || len(bytes.Trim(v[:], "\xff")) == 0 {
			indices = append(indices, index)
		}
	}
	return indices
}

// checkMeasured returns an Invalid error if nothing was measured into one of the
// registers.
func (p PCRs) checkMeasured(op, remedy string) error {
	if indices := p.unmeasured(); len(indices) > 0 {
		return fault(op, driver.Invalid, fmt.Errorf("nothing was measured into PCRs %v, so that a policy on them holds in every state: "+
			"switch the SHA-256 bank on in the firmware setup, or %s", indices, remedy))
	}
	return nil
}

func selection(indices []uint) tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash:      tpm2.TPMAlgSHA256,
		PCRSelect: tpm2.PCClientCompatible.PCRs(indices...),
	}}}
}

// policy returns the policy digest that requires these values (TPM2_PolicyPCR).
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
