// Package inputcopy copies the arguments of a call into memory of its own.
package inputcopy

import (
	"slices"
	"sync"

	"strongroom.example/internal/ciphertext"
	"strongroom.example/internal/suite"
)

// Pooled is the length of a pooled buffer: that of a ciphertext, which is the longest input
// of the most frequent operations.
const Pooled = ciphertext.MaxPlaintext + ciphertext.Overhead

// A Pool reuses the memory of copies. The zero value is ready to use.
type Pool struct{ buffers sync.Pool } // of *[Pooled]byte, wiped before they are returned

// A Copy is memory that belongs to one call. It holds a copy of the caller's bytes, which
// the caller, another goroutine or the Authorizer can no longer change, or a plaintext that
// is not released yet. Release wipes it.
type Copy struct {
	Bytes  []byte
	pool   *Pool
	pooled *[Pooled]byte
}

// Copy copies b. The caller calls Release. A nil Pool copies nothing.
func (p *Pool) Copy(b []byte) Copy {
	switch {
	case p == nil:
		return Copy{}
	case len(b) > Pooled:
		return Copy{Bytes: slices.Clone(b)}
	}
	pooled, _ := p.buffers.Get().(*[Pooled]byte)
	if pooled == nil {
		pooled = new([Pooled]byte)
	}
	n := copy(pooled[:], b)
	return Copy{pooled[:n], p, pooled}
}

// Release wipes the memory and returns it to the pool.
func (c Copy) Release() {
	if c.pooled == nil {
		suite.Wipe(c.Bytes)
		return
	}
	suite.Wipe(c.pooled[:])
	c.pool.buffers.Put(c.pooled)
}

// AtMost copies an argument that has at most n bytes. Of a longer b it copies n+1 bytes, so
// that the copy has a wrong length too.
func AtMost(b []byte, n int) []byte { return slices.Clone(b[:min(len(b), n+1)]) }
