package keystore

import (
	"encoding/binary"
	"fmt"
)

// head is the record with the state of the whole store. Every batch writes it.
type head struct {
	generation uint64
	log        LogState
	digest     [32]byte
	count      uint64
	rootHash   [32]byte
	nextRoot   [32]byte // zero: no replacement of the root file is in progress
	epoch      uint32   // the material epoch that is current, or will be once a change in progress is complete
	synced     uint64   // the newest generation that a durable tip had when the batch was made
}

const (
	headFormat  = 2 // 1 has no synced
	headFixed   = 1 + 8 + 8 + 32 + 8 + 32 + 8 + 32 + 32 + 4 + 8 + 1
	maxFrontier = 64
)

func (h head) encode(dst []byte) []byte {
	be := binary.BigEndian
	dst = append(dst, headFormat)
	dst = be.AppendUint64(dst, h.generation)
	dst = be.AppendUint64(dst, h.log.Size)
	dst = append(dst, h.log.Root[:]...)
	dst = be.AppendUint64(dst, h.log.Checkpoint)
	dst = append(dst, h.digest[:]...)
	dst = be.AppendUint64(dst, h.count)
	dst = append(dst, h.rootHash[:]...)
	dst = append(dst, h.nextRoot[:]...)
	dst = be.AppendUint32(dst, h.epoch)
	dst = be.AppendUint64(dst, h.synced)
	dst = append(dst, byte(len(h.log.Frontier)))
	for _, f := range h.log.Frontier {
		dst = append(dst, f[:]...)
	}
	return dst
}

func parseHead(b []byte) (head, error) {
	var h head
	fixed := headFixed
	if len(b) > 0 && b[0] == 1 {
		fixed -= 8
	}
	if len(b) < fixed || b[0] == 0 || b[0] > headFormat {
		return h, fmt.Errorf("%w: head", ErrCorrupt)
	}
	be := binary.BigEndian
	h.generation = be.Uint64(b[1:])
	h.log.Size = be.Uint64(b[9:])
	copy(h.log.Root[:], b[17:])
	h.log.Checkpoint = be.Uint64(b[49:])
	copy(h.digest[:], b[57:])
	h.count = be.Uint64(b[89:])
	copy(h.rootHash[:], b[97:])
	copy(h.nextRoot[:], b[129:])
	h.epoch = be.Uint32(b[161:])
	if b[0] > 1 {
		h.synced = be.Uint64(b[165:])
	}
	n := int(b[fixed-1])
	if n > maxFrontier || len(b) != fixed+32*n {
		return h, fmt.Errorf("%w: head", ErrCorrupt)
	}
	for i := range n {
		h.log.Frontier = append(h.log.Frontier, [32]byte(b[fixed+32*i:]))
	}
	return h, nil
}
