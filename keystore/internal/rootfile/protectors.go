package rootfile

import (
	"encoding/binary"
	"fmt"
	"time"

	"strongroom.example/keystore/internal/fault"
	"strongroom.example/keystore/internal/fields"
)

// MaxProtectors is the largest number of protectors of a vault.
const MaxProtectors = 64

const (
	maxName = 1024
	maxBlob = 64 << 10
)

// A Protector is one way to recover the root. The format of Blob belongs to the driver.
type Protector struct {
	ID           string
	Name, Kind   string
	MachineBound bool
	Created      time.Time
	Blob         []byte
}

func checkProtectors(all []Protector) error {
	if len(all) > MaxProtectors {
		return fmt.Errorf("%w: more than %d protectors", fault.ErrTooLarge, MaxProtectors)
	}
	for _, p := range all {
		if len(p.ID) > maxName || len(p.Name) > maxName || len(p.Kind) > maxName || len(p.Blob) > maxBlob {
			return fmt.Errorf("%w: protector", fault.ErrTooLarge)
		}
	}
	return nil
}

// appendProtectors appends the number of protectors, then each of them.
func appendProtectors(b []byte, all []Protector) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(all)))
	for _, p := range all {
		b = appendProtector(b, p)
	}
	return b
}

func appendProtector(b []byte, p Protector) []byte {
	for _, s := range []string{p.ID, p.Name, p.Kind} {
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	bound := byte(0)
	if p.MachineBound {
		bound = 1
	}
	b = append(b, bound)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Created.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Blob)))
	return append(b, p.Blob...)
}

// readProtectors reads what appendProtectors appended. It returns false if the number is above
// MaxProtectors.
func readProtectors(r *fields.Reader) (all []Protector, ok bool) {
	n := r.Uint(2)
	if n > MaxProtectors {
		return nil, false
	}
	for range n {
		all = append(all, readProtector(r))
	}
	return all, true
}

func readProtector(r *fields.Reader) Protector {
	p := Protector{ID: r.Text(maxName), Name: r.Text(maxName), Kind: r.Text(maxName), MachineBound: r.Flag()}
	p.Created = time.Unix(0, int64(r.Uint(8))).UTC()
	p.Blob = r.Bytes(int(r.Uint(4)), maxBlob)
	return p
}

// EncodeProtectors returns protectors in the encoding of the root file. It returns ErrTooLarge if
// there are more than MaxProtectors, or if a field exceeds its limit.
func EncodeProtectors(all []Protector) ([]byte, error) {
	if err := checkProtectors(all); err != nil {
		return nil, err
	}
	return appendProtectors(nil, all), nil
}

// DecodeProtectors decodes the output of EncodeProtectors. It returns ErrCorrupt for any other
// input.
func DecodeProtectors(b []byte) ([]Protector, error) {
	in := fields.NewReader(b)
	all, ok := readProtectors(&in)
	if !ok || !in.Done() {
		return nil, fmt.Errorf("%w: protectors", fault.ErrCorrupt)
	}
	return all, nil
}
