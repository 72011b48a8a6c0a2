package vault

import (
	"slices"

	"strongroom.example/internal/suite"
)

// inputSize is how long an input is that has room in a pooled buffer: a ciphertext, the
// longest input of the operations that are called most.
const inputSize = MaxPlaintext + Overhead

// An input is memory that belongs to one call: a copy of what the caller gave, which the
// caller, another goroutine or the Authorizer cannot change any more, or a plaintext that
// is not released yet. release wipes it.
type input struct {
	bytes  []byte
	vault  *Vault
	pooled *[inputSize]byte
}

// own copies b. A nil vault, whose operations are all denied, copies nothing.
func (v *Vault) own(b []byte) input {
	switch {
	case v == nil:
		return input{}
	case len(b) > inputSize:
		return input{bytes: slices.Clone(b)}
	}
	pooled, _ := v.inputs.Get().(*[inputSize]byte)
	if pooled == nil {
		pooled = new([inputSize]byte)
	}
	n := copy(pooled[:], b)
	return input{pooled[:n], v, pooled}
}

// release wipes the memory and gives it back.
func (in input) release() {
	if in.pooled == nil {
		suite.Wipe(in.bytes)
		return
	}
	suite.Wipe(in.pooled[:])
	in.vault.inputs.Put(in.pooled)
}

// atMost copies what the caller gave for something that has at most n bytes. Of a longer
// b it keeps one byte too many, so that the copy is wrong as b is.
func atMost(b []byte, n int) []byte { return slices.Clone(b[:min(len(b), n+1)]) }
