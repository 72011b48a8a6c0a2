//go:build cgo && unix

package cryptoki

import (
	"encoding/binary"
	"strconv"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/internal/suite"
)

// A Template is a list of attributes, for making an object or searching for it.
type Template []Attribute

// An Attribute is a type and a value in the standard's encoding.
type Attribute struct {
	kind  uint
	value []byte
}

func True(kind uint) Attribute { return Attribute{kind, []byte{1}} }

func False(kind uint) Attribute { return Attribute{kind, []byte{0}} }

// Bool returns a CK_BBOOL.
func Bool(kind uint, on bool) Attribute {
	if on {
		return True(kind)
	}
	return False(kind)
}

// Ulong returns a CK_ULONG, a machine word.
func Ulong(kind, n uint) Attribute { return Attribute{kind, encodeUlong(n)} }

// Ulongs returns an array of CK_ULONG.
func Ulongs(kind uint, list ...uint) Attribute {
	a := Attribute{kind: kind}
	for _, n := range list {
		a.value = append(a.value, encodeUlong(n)...)
	}
	return a
}

func Bytes(kind uint, value []byte) Attribute { return Attribute{kind, value} }

func encodeUlong(n uint) []byte {
	if strconv.IntSize == 32 {
		return binary.NativeEndian.AppendUint32(nil, uint32(n))
	}
	return binary.NativeEndian.AppendUint64(nil, uint64(n))
}

// ParseUlong decodes a CK_ULONG.
func ParseUlong(b []byte) (uint, bool) {
	switch {
	case len(b) != strconv.IntSize/8:
		return 0, false
	case len(b) == 4:
		return uint(binary.NativeEndian.Uint32(b)), true
	}
	return uint(binary.NativeEndian.Uint64(b)), true
}

// Attributes returns the template for miekg/pkcs11. It is for calls that carry no secret.
func (t Template) Attributes() []*p11.Attribute {
	list := make([]*p11.Attribute, len(t))
	for i, a := range t {
		list[i] = &p11.Attribute{Type: a.kind, Value: a.value}
	}
	return list
}

// Wipe zeroes the values.
func (t Template) Wipe() {
	for _, a := range t {
		suite.Wipe(a.value)
	}
}

// A span is the position of a value in a buffer.
type span struct{ offset, size int }

// flatten copies the values to one buffer, which the caller wipes. Each value begins at a
// multiple of a machine word, because modules read numbers in place.
func (t Template) flatten() ([]byte, []span) {
	const align = 8
	size := 0
	for _, a := range t {
		size += (len(a.value) + align - 1) / align * align
	}
	values, spans := make([]byte, size), make([]span, len(t))
	at := 0
	for i, a := range t {
		spans[i] = span{at, len(a.value)}
		copy(values[at:], a.value)
		at += (len(a.value) + align - 1) / align * align
	}
	return values, spans
}
