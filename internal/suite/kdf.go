package suite

import (
	"bytes"
	"encoding/binary"
)

// KDF fills dst with bytes derived from key: SP 800-108r1 in counter mode, with
// HMAC as the PRF and a 32-bit counter before the fixed input. Block i, from 1, is
//
//	MAC(key, u32be i ‖ label ‖ 00 ‖ context ‖ u32be bits of dst)
//
// Keys of different length under one label are therefore unrelated. The label
// holds no zero byte. The caller wipes key and dst.
func (id ID) KDF(dst, key []byte, label string, context []byte) {
	var space [shortMessage]byte
	fixed := append(space[:0], label...)
	fixed = append(fixed, 0)
	fixed = append(fixed, context...)
	fixed = binary.BigEndian.AppendUint32(fixed, uint32(len(dst)*8))
	if id.short(key, 4+len(fixed)) {
		id.shortKDF(dst, key, fixed)
		return
	}
	id.longKDF(dst, key, bytes.Clone(fixed))
}

// longKDF is KDF over a MAC state.
func (id ID) longKDF(dst, key, fixed []byte) {
	h := id.newMAC(key)
	defer WipeState(h)
	var counter [4]byte
	block := make([]byte, 0, HashSize)
	for i := uint32(1); len(dst) > 0; i++ {
		binary.BigEndian.PutUint32(counter[:], i)
		if i > 1 {
			h.Reset()
		}
		h.Write(counter[:])
		h.Write(fixed)
		block = h.Sum(block[:0])
		dst = dst[copy(dst, block):]
	}
	Wipe(block[:cap(block)])
}

// shortKDF is KDF over a short fixed input.
func (id ID) shortKDF(dst, key, fixed []byte) {
	var counter [4]byte
	for i := uint32(1); len(dst) > 0; i++ {
		binary.BigEndian.PutUint32(counter[:], i)
		block := id.shortMAC(key, counter[:], fixed)
		dst = dst[copy(dst, block[:]):]
		Wipe(block[:])
	}
}
