package suite

import "encoding/binary"

// KDF fills dst with bytes derived from key, by SP 800-108r1 in counter mode, with HMAC
// as the PRF and a 32-bit counter before the fixed input. Block i, from 1, is
//
//	MAC(key, u32be i ‖ label ‖ 00 ‖ context ‖ u32be bits of dst)
//
// Keys of different length under one label are therefore unrelated. The label must not
// contain a zero byte. The caller wipes key and dst; KDF leaves no other copy outside
// locked memory.
func (id ID) KDF(dst, key []byte, label string, context []byte) {
	w := workspaces.take()
	defer workspaces.give(w)
	growStack(false)
	if n := 4 + len(label) + 1 + len(context) + 4; n > shortMessage || moduleOnly() {
		id.longKDF(w, dst, key, label, context)
	} else {
		id.shortKDF(w, dst, key, label, context)
	}
	clearStack()
}

// longKDF computes KDF by one MAC for each block.
//
//go:noinline
func (id ID) longKDF(w *workspace, dst, key []byte, label string, context []byte) {
	var counter, bits [4]byte
	binary.BigEndian.PutUint32(bits[:], uint32(len(dst)*8))
	parts := [][]byte{counter[:], append([]byte(label), 0), context, bits[:]}
	for i := uint32(1); len(dst) > 0; i++ {
		binary.BigEndian.PutUint32(parts[0], i)
		id.mac(w, key, parts)
		dst = dst[copy(dst, w.block[:]):]
	}
}

// shortKDF computes KDF over a short fixed input. It prepares the pads once.
//
//go:noinline
func (id ID) shortKDF(w *workspace, dst, key []byte, label string, context []byte) {
	id.loadPads(w, key)
	counter := w.inner[blockSize : blockSize+4]
	n := blockSize + 4
	n += copy(w.inner[n:], label)
	w.inner[n] = 0
	n++
	n += copy(w.inner[n:], context)
	binary.BigEndian.PutUint32(w.inner[n:], uint32(len(dst)*8))
	n += 4
	for i := uint32(1); len(dst) > 0; i++ {
		binary.BigEndian.PutUint32(counter, i)
		id.finishMAC(w, n)
		dst = dst[copy(dst, w.block[:]):]
	}
}
