package webapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"unicode/utf8"

	"strongroom.example/internal/suite"
)

// A Blob is a parameter in base64. Parameters.Wipe wipes it.
type Blob struct {
	Bytes []byte // nil if the parameter is missing
	Wrong bool   // not base64
}

// UnmarshalJSON decodes base64 without a copy as a string. It never fails, so that the error
// names the parameter and not its value.
func (b *Blob) UnmarshalJSON(text []byte) error {
	suite.Wipe(b.Bytes) // of a second value, which Decode refuses
	b.Bytes = nil
	if text[0] != '"' {
		b.Wrong = string(text) != "null" // encoding/json takes a list of numbers too
		return nil
	}
	text = text[1 : len(text)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		text = unescaped(text)
		defer suite.Wipe(text)
	}
	plain := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(plain, text)
	if b.Wrong = err != nil; b.Wrong {
		suite.Wipe(plain)
		return nil
	}
	b.Bytes = plain[:n]
	return nil
}

// unescaped returns a copy of the inside of a JSON string without escape sequences, which the
// caller wipes. Some libraries escape the characters / + and = of base64. Whatever base64 cannot
// have becomes a zero.
func unescaped(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		c, n := text[0], 1
		if c == '\\' {
			switch unit, length := escaped(text); {
			case length == 6 && unit < utf8.RuneSelf:
				c, n = byte(unit), length
			case text[1] == '/':
				c, n = '/', length
			case text[1] == 'n':
				c, n = '\n', length
			case text[1] == 'r':
				c, n = '\r', length
			default:
				c, n = 0, length
			}
		}
		out, text = append(out, c), text[n:]
	}
	return out
}

// Present records that a parameter has a value.
type Present struct{}

// UnmarshalJSON ignores the value.
func (*Present) UnmarshalJSON([]byte) error { return nil }

// A Fault says what is wrong with the body of a request.
type Fault int

// The faults of Decode.
const (
	None Fault = iota
	NotObject
	UnknownParameter // Decode returns its name
	DoubleParameter  // the same
	WrongType
	NotUnicode
)

// Parameters are the parameters of an operation: the fields of a struct, those of embedded
// structs included. It is immutable.
type Parameters struct {
	shape  *shape
	fields []reflect.StructField
	blobs  [][]int // the indices of the fields that are a Blob
}

// NewParameters returns the parameters that the struct type P has. P does not contain itself.
func NewParameters[P any]() *Parameters {
	t := reflect.TypeFor[P]()
	p := &Parameters{shape: shapeOf(t)}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue
		}
		p.fields = append(p.fields, f)
		if f.Type == reflect.TypeFor[Blob]() {
			p.blobs = append(p.blobs, f.Index)
		}
	}
	return p
}

// Decode reads a JSON object into the struct that into points to. Names are exact, and stand
// once in an object. A parameter may be null, which is the same as none, but not a member of a
// map or list. The text of a fault must not contain a value, so that Decode returns no error of
// encoding/json.
func (p *Parameters) Decode(body []byte, into any) (f Fault, name string) {
	return decode(p.shape, body, into)
}

func decode(s *shape, body []byte, into any) (f Fault, name string) {
	d := decoder{text: body}
	if d.next() != '{' {
		return NotObject, ""
	}
	f = d.value(s, reflect.ValueOf(into).Elem())
	if f == None && (d.next() != 0 || d.at < len(body)) || f != None && !json.Valid(body) {
		return NotObject, ""
	}
	switch {
	case !isUnicode(body):
		return NotUnicode, ""
	case f == None && d.wrongType:
		return WrongType, ""
	}
	return f, d.name
}

// ofStrings is the shape of a JSON object of strings.
var ofStrings = shapeOf(reflect.TypeFor[map[string]string]())

// DecodeStrings reads a JSON object of strings by the rules of Decode.
func DecodeStrings(text []byte) (map[string]string, Fault) {
	var out map[string]string
	f, _ := decode(ofStrings, text, &out)
	return out, f
}

// Check calls f with each parameter of the struct that of points to, and with a pointer to its
// value, until f returns an error, and returns that error.
func (p *Parameters) Check(of any, f func(field reflect.StructField, value any) error) error {
	v := reflect.ValueOf(of).Elem()
	for _, field := range p.fields {
		if err := f(field, v.FieldByIndex(field.Index).Addr().Interface()); err != nil {
			return err
		}
	}
	return nil
}

// Wipe wipes the blobs of the struct that of points to.
func (p *Parameters) Wipe(of any) {
	v := reflect.ValueOf(of).Elem()
	for _, index := range p.blobs {
		suite.Wipe(v.FieldByIndex(index).Addr().Interface().(*Blob).Bytes)
	}
}
