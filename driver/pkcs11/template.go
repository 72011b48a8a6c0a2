//go:build cgo && unix

package pkcs11

import (
	"encoding/binary"
	"strconv"

	p11 "github.com/miekg/pkcs11"

	"strongroom.example/internal/suite"
)

// A template is a list of attributes, for making an object or searching for it.
type template []attribute

// An attribute is a type and a value in the standard's encoding.
type attribute struct {
	kind  uint
	value []byte
}

func yes(kind uint) attribute { return attribute{kind, []byte{1}} }
func no(kind uint) attribute  { return attribute{kind, []byte{0}} }

// flag returns a CK_BBOOL.
func flag(kind uint, on bool) attribute {
	if on {
		return yes(kind)
	}
	return no(kind)
}

// number returns a CK_ULONG, a machine word.
func number(kind, n uint) attribute { return attribute{kind, word(n)} }

// words returns an array of CK_ULONG.
func words(kind uint, list ...uint) attribute {
	a := attribute{kind: kind}
	for _, n := range list {
		a.value = append(a.value, word(n)...)
	}
	return a
}

func raw(kind uint, value []byte) attribute { return attribute{kind, value} }

func word(n uint) []byte {
	if strconv.IntSize == 32 {
		return binary.NativeEndian.AppendUint32(nil, uint32(n))
	}
	return binary.NativeEndian.AppendUint64(nil, uint64(n))
}

// unword decodes a CK_ULONG.
func unword(b []byte) (uint, bool) {
	switch {
	case len(b) != strconv.IntSize/8:
		return 0, false
	case len(b) == 4:
		return uint(binary.NativeEndian.Uint32(b)), true
	}
	return uint(binary.NativeEndian.Uint64(b)), true
}

// attributes returns the template for miekg/pkcs11. It is for calls that carry no secret.
func (t template) attributes() []*p11.Attribute {
	list := make([]*p11.Attribute, len(t))
	for i, a := range t {
		list[i] = &p11.Attribute{Type: a.kind, Value: a.value}
	}
	return list
}

// wipe zeroes the values.
func (t template) wipe() {
	for _, a := range t {
		suite.Wipe(a.value)
	}
}

// A span is the position of a value in a buffer.
type span struct{ offset, size int }

// flatten copies the values to one buffer, which the caller wipes. Each value begins at a
// multiple of a machine word, because modules read numbers in place.
func (t template) flatten() ([]byte, []span) {
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
