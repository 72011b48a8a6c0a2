package ciphertext

import (
	"encoding/binary"

	"strongroom.example/internal/suite"
)

// The labels separate the three derivations from each other and from all others.
// labelRoot has at most 19 bytes, so that PRFInput fits into one block of the hash.
const (
	labelBind    = "strongroom/bind/1"
	labelRoot    = "strongroom/root/1"
	labelMessage = "strongroom/message/1"
)

// PRFInput returns the input for the CMK's PRF: the fixed input data of SP 800-108 in
// counter mode, for one block, with B as the context. It has at most 64 bytes and is not
// secret. context is canonical. The PRF's 32-byte output is the root for Seal and Open.
func (h Header) PRFInput(context []byte) []byte {
	b := h.bind(context)
	in := binary.BigEndian.AppendUint32(make([]byte, 0, 64), 1)
	in = append(in, labelRoot...)
	in = append(in, 0)
	in = append(in, b[:]...)
	return binary.BigEndian.AppendUint32(in, RootSize*8)
}

// bind returns B, the hash of header and context.
func (h Header) bind(context []byte) [suite.HashSize]byte {
	framed := make([]byte, 0, 3*4+len(labelBind)+HeaderSize+len(context))
	for _, part := range [][]byte{[]byte(labelBind), h.append(make([]byte, 0, HeaderSize)), context} {
		framed = binary.BigEndian.AppendUint32(framed, uint32(len(part)))
		framed = append(framed, part...)
	}
	return h.Suite.Sum(framed)
}

// derive returns the message key and the commitment. Both are slices of one buffer, which
// the caller wipes.
func (h Header) derive(context, root []byte) (both, key, commit []byte) {
	b := h.bind(context)
	n := h.Suite.KeySize()
	both = suite.NewSecret(n + commitSize)
	h.Suite.KDF(both, root, labelMessage, b[:])
	return both, both[:n], both[n:]
}
