package keystore

import (
	"encoding/binary"
	"fmt"
)

// EncodeProtectors returns protectors in the encoding of the root file: their number,
// then each of them. It returns ErrTooLarge if there are more than MaxProtectors, or if a
// field exceeds its limit.
func EncodeProtectors(all []Protector) ([]byte, error) {
	if len(all) > MaxProtectors {
		return nil, fmt.Errorf("%w: more than %d protectors", ErrTooLarge, MaxProtectors)
	}
	b := binary.BigEndian.AppendUint16(nil, uint16(len(all)))
	for _, p := range all {
		if len(p.ID) > maxName || len(p.Name) > maxName || len(p.Kind) > maxName || len(p.Blob) > maxBlob {
			return nil, fmt.Errorf("%w: protector", ErrTooLarge)
		}
		b = appendProtector(b, p)
	}
	return b, nil
}

// DecodeProtectors decodes the output of EncodeProtectors. It returns ErrCorrupt for any
// other input.
func DecodeProtectors(b []byte) (all []Protector, err error) {
	in := reader{b: b}
	n := in.uint(2)
	if n > MaxProtectors {
		return nil, fmt.Errorf("%w: %d protectors", ErrCorrupt, n)
	}
	for range n {
		all = append(all, in.protector())
	}
	if in.bad || len(in.b) != 0 {
		return nil, fmt.Errorf("%w: protectors", ErrCorrupt)
	}
	return all, nil
}
