package ciphertext

import (
	"encoding/binary"
)

// An element of GF(2^128) in GCM's bit order (SP 800-38D, 6.3): the first bit is
// the coefficient of x^0.
type element struct{ hi, lo uint64 }

func toElement(b []byte) element {
	return element{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func (x element) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, x.hi), x.lo)
}

func (x element) add(y element) element { return element{x.hi ^ y.hi, x.lo ^ y.lo} }

func (x element) mul(y element) element {
	var z element
	for i := range 128 {
		bit := x.hi >> (63 - i%64)
		if i >= 64 {
			bit = x.lo >> (63 - i%64)
		}
		if bit&1 == 1 {
			z = z.add(y)
		}
		carry := y.lo & 1
		y = element{y.hi >> 1, y.hi<<63 | y.lo>>1}
		if carry == 1 {
			y.hi ^= 0xE1 << 56
		}
	}
	return z
}

// inverse returns x^(2^128-2), the inverse by Fermat's little theorem.
func (x element) inverse() element {
	result := element{hi: 1 << 63}
	for range 127 {
		x = x.mul(x)
		result = result.mul(x)
	}
	return result
}

// ghash returns GHASH (SP 800-38D, 6.4) of padded aad, blocks and lengths.
func ghash(h element, aad, blocks []byte) element {
	padded := append(append([]byte{}, aad...), make([]byte, (16-len(aad)%16)%16)...)
	padded = append(padded, blocks...)
	padded = binary.BigEndian.AppendUint64(padded, uint64(len(aad))*8)
	padded = binary.BigEndian.AppendUint64(padded, uint64(len(blocks))*8)
	var y element
	for ; len(padded) > 0; padded = padded[16:] {
		y = y.add(toElement(padded)).mul(h)
	}
	return y
}
