// Package snapshot has the encoding of a snapshot of the store: a sequence of items.
// docs/formats.md specifies the bytes.
package snapshot

import (
	"encoding/binary"
	"fmt"
	"io"

	"strongroom.example/keystore/internal/fault"
)

// A Kind is the kind of an item.
type Kind byte

// The kinds of items.
const (
	Pair    Kind = 'p' // one sealed record or audit segment
	Live    Kind = 'l' // the engine key of a record that exists at the end
	Keyring Kind = 'k'
	End     Kind = 'e' // the last item
)

const (
	maxKey   = 1 << 10
	maxValue = 64 << 10
)

// ErrDamaged is the error of a snapshot that does not parse.
var ErrDamaged = fmt.Errorf("%w: the snapshot is cut or damaged", fault.ErrCorrupt)

// A Writer writes items.
type Writer struct {
	w      io.Writer
	header []byte
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Item writes kind, the lengths of key and value, and both.
func (o *Writer) Item(kind Kind, key, value []byte) error {
	o.header = append(o.header[:0], byte(kind))
	o.header = binary.BigEndian.AppendUint16(o.header, uint16(len(key)))
	o.header = binary.BigEndian.AppendUint32(o.header, uint32(len(value)))
	for _, b := range [][]byte{append(o.header, key...), value} {
		if _, err := o.w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// A Reader reads items.
type Reader struct{ r io.Reader }

// NewReader returns a Reader of r.
func NewReader(r io.Reader) Reader { return Reader{r} }

// Item reads one item. It returns ErrDamaged if there is none or if it is cut, and other errors of
// the input unchanged. The caller wipes the value of a keyring.
func (x Reader) Item() (kind Kind, key, value []byte, err error) {
	var header [7]byte
	if _, err := io.ReadFull(x.r, header[:]); err != nil {
		return 0, nil, nil, damaged(err)
	}
	kind = Kind(header[0])
	n, m := binary.BigEndian.Uint16(header[1:]), binary.BigEndian.Uint32(header[3:])
	if kind != Pair && kind != Live && kind != Keyring && kind != End || n > maxKey || m > maxValue {
		return 0, nil, nil, ErrDamaged
	}
	body := make([]byte, int(n)+int(m))
	if _, err := io.ReadFull(x.r, body); err != nil {
		return 0, nil, nil, damaged(err)
	}
	return kind, body[:n:n], body[n:], nil
}

// AtEnd returns ErrDamaged if the input goes on, and other errors of the input unchanged.
func (x Reader) AtEnd() error {
	var one [1]byte
	n, err := x.r.Read(one[:])
	switch {
	case n == 0 && err == io.EOF:
		return nil
	case err != nil && err != io.EOF:
		return err
	}
	return ErrDamaged
}

// damaged converts the end of the input to ErrDamaged.
func damaged(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrDamaged
	}
	return err
}
