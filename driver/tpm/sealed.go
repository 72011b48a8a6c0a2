package tpm

import (
	"bytes"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
)

// A sealed is the decoded blob of a Protector:
//
//	magic ‖ mode ‖ parent ‖ pcrs ‖ public ‖ private ‖ check
//
// The four fields before check have the two-byte length of a TPM2B. pcrs has one byte for
// each register; check is the hash of a label and all preceding bytes.
type sealed struct {
	mode                    byte
	parent, public, private []byte
	pcrs                    []uint
}

const (
	magicSealed = "SRQ\x01" // the last byte is the format
	magicBound  = "SRQ\x02" // of mode modeBound only
	labelSealed = "strongroom tpm sealed root\x00"

	modeNone     = 0
	modePCR      = 1
	modeApproved = 2
	modeBound    = 3 // approvals name the vault and a number
)

func (s sealed) encode() driver.Blob {
	magic := magicSealed
	if s.mode == modeBound {
		magic = magicBound
	}
	out := append([]byte(magic), s.mode)
	registers := make([]byte, len(s.pcrs))
	for i, index := range s.pcrs {
		registers[i] = byte(index)
	}
	for _, part := range [][]byte{s.parent, registers, s.public, s.private} {
		out = appendSized(out, part)
	}
	check := suite.AES.Hash([]byte(labelSealed), out)
	return append(out, check[:]...)
}

// decodeSealed parses a copy of a blob.
func decodeSealed(blob driver.Blob) (sealed, error) {
	if len(blob) < len(magicSealed)+1+suite.HashSize {
		return sealed{}, errDamaged
	}
	body, check := blob[:len(blob)-suite.HashSize], blob[len(blob)-suite.HashSize:]
	want := suite.AES.Hash([]byte(labelSealed), body)
	rest, first := bytes.CutPrefix(slices.Clone(body), []byte(magicSealed))
	if !first {
		rest, _ = bytes.CutPrefix(rest, []byte(magicBound))
	}
	if len(rest) == len(body) || !bytes.Equal(want[:], check) {
		return sealed{}, errDamaged
	}
	r := reader{rest: rest}
	s := sealed{mode: r.u8(), parent: r.sized()}
	for _, index := range r.sized() {
		s.pcrs = append(s.pcrs, uint(index))
	}
	s.public, s.private = r.sized(), r.sized()
	if r.done() != nil || s.mode > modeBound || (s.mode == modeBound) == first || (s.mode == modePCR) != (len(s.pcrs) > 0) {
		return sealed{}, errDamaged
	}
	if s.mode == modePCR && checkPCRs("Recover", s.pcrs) != nil {
		return sealed{}, errDamaged
	}
	return s, nil
}
