package webapi

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"unicode/utf16"
	"unicode/utf8"
)

// A shape is the type that a JSON value becomes.
type shape struct {
	is     reflect.Type
	kind   reflect.Kind     // Invalid if the type has a method UnmarshalJSON
	fields map[string]field // of a struct, by name
	elem   *shape           // of a pointer, a list or a map
}

// A field is one of a struct.
type field struct {
	number int
	index  []int
	shape  *shape
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// shapeOf returns the shape of a type, which must not contain itself.
func shapeOf(t reflect.Type) *shape {
	s := &shape{is: t, kind: t.Kind()}
	switch {
	case s.kind != reflect.Pointer && reflect.PointerTo(t).Implements(unmarshaler):
		s.kind = reflect.Invalid
	case s.kind == reflect.Struct:
		s.fields = make(map[string]field)
		for _, f := range reflect.VisibleFields(t) {
			if !f.Anonymous && f.IsExported() {
				s.fields[f.Name] = field{len(s.fields), f.Index, shapeOf(f.Type)}
			}
		}
	case s.kind == reflect.Pointer || s.kind == reflect.Slice || s.kind == reflect.Map:
		s.elem = shapeOf(t.Elem())
	}
	return s
}

// A decoder decodes JSON along a shape. It refuses what encoding/json accepts although it has no
// one meaning: names that differ in case or stand twice, members that no field has, and null as
// a member of a map or list, which would become an empty string. It leaves numbers and truth
// values to encoding/json.
type decoder struct {
	text      []byte
	at        int
	name      string // that of the fault, if it is about one
	wrongType bool   // a value has not the type of its parameter
}

// next moves to the next byte that is not white space, and returns it, or 0 at the end.
func (d *decoder) next() byte {
	for ; d.at < len(d.text); d.at++ {
		switch c := d.text[d.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// skip moves behind the next byte if it is c, and reports whether it is.
func (d *decoder) skip(c byte) bool {
	if d.next() != c {
		return false
	}
	d.at++
	return true
}

// quoted moves behind a string, and returns it with its quotes. plain is false if it has escape
// sequences.
func (d *decoder) quoted() (text []byte, plain, ok bool) {
	from := d.at
	plain = true
	for d.at++; d.at < len(d.text); d.at++ {
		switch c := d.text[d.at]; {
		case c == '"':
			d.at++
			text = d.text[from:d.at]
			return text, plain, plain || json.Valid(text)
		case c == '\\':
			plain = false
			d.at++
		case c < ' ':
			return nil, false, false
		}
	}
	return nil, false, false
}

// raw moves behind a value, and returns its text, which is valid JSON if ok.
func (d *decoder) raw() (text []byte, ok bool) {
	if d.next() == '"' {
		text, _, ok = d.quoted()
		return text, ok
	}
	from := d.at
	for depth := 0; ; {
		switch d.next() {
		case 0:
			return nil, false
		case '"':
			if _, _, ok := d.quoted(); !ok {
				return nil, false
			}
		case '{', '[':
			depth++
			d.at++
		case '}', ']':
			depth--
			d.at++
		case ',', ':':
			d.at++
		default:
			for d.at < len(d.text) && bytes.IndexByte([]byte(" \t\r\n,:]}"), d.text[d.at]) < 0 {
				d.at++
			}
		}
		if depth <= 0 {
			text = d.text[from:d.at]
			return text, json.Valid(text)
		}
	}
}

// member moves behind a name and its colon, and returns the name.
func (d *decoder) member() (name []byte, ok bool) {
	if d.next() != '"' {
		return nil, false
	}
	text, plain, ok := d.quoted()
	if !ok {
		return nil, false
	}
	name = text[1 : len(text)-1]
	if !plain {
		var s string
		json.Unmarshal(text, &s) // the text is valid
		name = []byte(s)
	}
	return name, d.skip(':')
}

// value decodes a value of shape s into v, and moves behind it.
func (d *decoder) value(s *shape, v reflect.Value) Fault {
	first := d.next()
	switch {
	case s.kind == reflect.Pointer && first != 'n':
		v.Set(reflect.New(s.elem.is))
		return d.value(s.elem, v.Elem())
	case s.kind == reflect.Struct && first == '{':
		return d.object(s, v)
	case s.kind == reflect.Map && first == '{':
		return d.dictionary(s, v)
	case s.kind == reflect.Slice && first == '[':
		return d.list(s, v)
	case s.kind == reflect.String && first == '"':
		text, plain, ok := d.quoted()
		if ok && plain {
			v.SetString(string(text[1 : len(text)-1]))
			return None
		}
		return d.leaf(v, text, ok)
	}
	text, ok := d.raw()
	if ok && s.kind == reflect.Invalid {
		d.wrongType = v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(text) != nil || d.wrongType
		return None
	}
	return d.leaf(v, text, ok)
}

// leaf decodes the text of a value by encoding/json.
func (d *decoder) leaf(v reflect.Value, text []byte, ok bool) Fault {
	if !ok {
		return NotObject
	}
	d.wrongType = json.Unmarshal(text, v.Addr().Interface()) != nil || d.wrongType
	return None
}

// entry is value for a member of a map or list.
func (d *decoder) entry(s *shape, v reflect.Value) Fault {
	if d.next() == 'n' && s.is != reflect.TypeFor[Present]() {
		d.wrongType = true
	}
	return d.value(s, v)
}

// members decodes the members of an object by one, which gets the name of each.
func (d *decoder) members(one func(name []byte) Fault) Fault {
	if d.skip('{'); d.skip('}') {
		return None
	}
	for {
		name, ok := d.member()
		if !ok {
			return NotObject
		}
		if fault := one(name); fault != None {
			return fault
		}
		if !d.skip(',') {
			return d.end('}')
		}
	}
}

// end moves behind the end of an object or list.
func (d *decoder) end(c byte) Fault {
	if !d.skip(c) {
		return NotObject
	}
	return None
}

// object decodes an object into a struct.
func (d *decoder) object(s *shape, v reflect.Value) Fault {
	seen := make([]bool, len(s.fields))
	return d.members(func(name []byte) Fault {
		f, ok := s.fields[string(name)]
		if !ok || seen[f.number] {
			d.name = string(name)
			if !ok {
				return UnknownParameter
			}
			return DoubleParameter
		}
		seen[f.number] = true
		return d.value(f.shape, v.FieldByIndex(f.index))
	})
}

// dictionary decodes an object into a map of strings to values of one type.
func (d *decoder) dictionary(s *shape, v reflect.Value) Fault {
	m := reflect.MakeMap(s.is)
	v.Set(m)
	return d.members(func(name []byte) Fault {
		key, value := reflect.ValueOf(string(name)), reflect.New(s.elem.is).Elem()
		if m.MapIndex(key).IsValid() {
			d.name = string(name)
			return DoubleParameter
		}
		fault := d.entry(s.elem, value)
		m.SetMapIndex(key, value)
		return fault
	})
}

// list decodes a list into a slice.
func (d *decoder) list(s *shape, v reflect.Value) Fault {
	v.Set(reflect.MakeSlice(s.is, 0, 0))
	if d.skip('['); d.skip(']') {
		return None
	}
	for n := 0; ; n++ {
		v.Set(reflect.Append(v, reflect.Zero(s.elem.is)))
		if fault := d.entry(s.elem, v.Index(n)); fault != None {
			return fault
		}
		if !d.skip(',') {
			return d.end(']')
		}
	}
}

// isUnicode reports whether the strings of valid JSON are Unicode: encoding/json replaces bytes
// that are not UTF-8, and escaped halves of surrogate pairs, so that different strings would
// become the same.
func isUnicode(text []byte) bool {
	if !utf8.Valid(text) {
		return false
	}
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return true
		}
		r, n := escaped(text[i:])
		text = text[i+n:]
		if !utf16.IsSurrogate(r) {
			continue
		}
		low, n := escaped(text)
		if utf16.DecodeRune(r, low) == utf8.RuneError {
			return false
		}
		text = text[n:]
	}
}

// escaped returns the code unit of the escape sequence \uXXXX that text begins with, or 0, and
// its length. Another escape sequence has 2 bytes.
func escaped(text []byte) (unit rune, n int) {
	var b [2]byte
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, 2
	}
	hex.Decode(b[:], text[2:6])
	return rune(b[0])<<8 | rune(b[1]), 6
}
