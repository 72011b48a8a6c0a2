package vault

import (
	"slices"

	"strongroom.example/internal/suite"
)

// inputSize is the length of a pooled buffer: that of a ciphertext, which is the longest
// input of the most frequent operations.
const inputSize = MaxPlaintext + Overhead

// An input is memory that belongs to one call. It holds a copy of the caller's bytes, which
// the caller, another goroutine or the Authorizer can no longer change, or a plaintext that
// is not released yet. release wipes it.
type input struct {
	bytes  []byte
	vault  *Vault
	pooled *[inputSize]byte
}

// own copies b. On a nil vault, whose operations are all denied, it copies nothing.
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

// release wipes the memory and returns it to the pool.
func (in input) release() {
	if in.pooled == nil {
		suite.Wipe(in.bytes)
		return
	}
	suite.Wipe(in.pooled[:])
	in.vault.inputs.Put(in.pooled)
}

// atMost copies an argument that has at most n bytes. Of a longer b it copies n+1 bytes, so
// that the copy has a wrong length too.
func atMost(b []byte, n int) []byte { return slices.Clone(b[:min(len(b), n+1)]) }
