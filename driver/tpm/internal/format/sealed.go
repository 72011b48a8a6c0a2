package format

import (
	"bytes"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/wire"
	"strongroom.example/internal/suite"
)

// A Sealed is the decoded blob of a Protector:
//
//	magic ‖ mode ‖ parent ‖ pcrs ‖ public ‖ private ‖ check
//
// The four fields before check have the two-byte length of a TPM2B. pcrs has one byte for
// each register; check is the hash of a label and all preceding bytes.
type Sealed struct {
	Mode                    byte
	Parent, Public, Private []byte
	PCRs                    []uint
}

const (
	magicSealed = "SRQ\x01" // the last byte is the format
	magicBound  = "SRQ\x02" // of mode ModeBound only
	labelSealed = "strongroom tpm sealed root\x00"
)

// The modes of a Sealed: what opens it.
const (
	ModeNone     = 0 // this TPM
	ModePCR      = 1 // values of registers
	ModeApproved = 2 // an approver's approval
	ModeBound    = 3 // an approval that names the vault and a number
)

// Encode returns the blob.
func (s Sealed) Encode() driver.Blob {
	magic := magicSealed
	if s.Mode == ModeBound {
		magic = magicBound
	}
	out := append([]byte(magic), s.Mode)
	registers := make([]byte, len(s.PCRs))
	for i, index := range s.PCRs {
		registers[i] = byte(index)
	}
	for _, part := range [][]byte{s.Parent, registers, s.Public, s.Private} {
		out = wire.AppendSized(out, part)
	}
	check := suite.AES.Hash([]byte(labelSealed), out)
	return append(out, check[:]...)
}

// DecodeSealed parses a copy of a blob.
func DecodeSealed(blob driver.Blob) (Sealed, error) {
	if len(blob) < len(magicSealed)+1+suite.HashSize {
		return Sealed{}, ErrDamaged
	}
	body, check := blob[:len(blob)-suite.HashSize], blob[len(blob)-suite.HashSize:]
	want := suite.AES.Hash([]byte(labelSealed), body)
	rest, first := bytes.CutPrefix(slices.Clone(body), []byte(magicSealed))
	if !first {
		rest, _ = bytes.CutPrefix(rest, []byte(magicBound))
	}
	if len(rest) == len(body) || !bytes.Equal(want[:], check) {
		return Sealed{}, ErrDamaged
	}
	r := wire.Reader{Rest: rest}
	s := Sealed{Mode: r.U8(), Parent: r.Sized()}
	for _, index := range r.Sized() {
		s.PCRs = append(s.PCRs, uint(index))
	}
	s.Public, s.Private = r.Sized(), r.Sized()
	if r.Done() != nil || s.Mode > ModeBound || (s.Mode == ModeBound) == first || (s.Mode == ModePCR) != (len(s.PCRs) > 0) {
		return Sealed{}, ErrDamaged
	}
	if s.Mode == ModePCR && slices.ContainsFunc(s.PCRs, func(i uint) bool { return !Bindable(i) }) {
		return Sealed{}, ErrDamaged
	}
	return s, nil
}

// Bindable reports whether a policy may name a register. No program can reset these
// registers at run time.
func Bindable(index uint) bool { return index <= 15 || index >= 17 && index <= 20 }
