package record

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Fields reads the fields of a record, in the order and the form in which Encode writes them.
// It reads no other form, such as strings with an escape. What it reads, Decode reads the same.
// After a failure it reads nothing.
type Fields struct {
	raw    []byte
	rest   string // the end of raw that is not read yet
	before byte   // what precedes the next field: a brace or a comma
	failed bool
}

// FieldsOf returns the fields of an encoded record.
func FieldsOf(stored []byte) Fields { return Fields{raw: stored, rest: string(stored), before: '{'} }

// Text reads a field that is a string, if it is the next one.
func Text[T ~string](r *Fields, name string, to *T) {
	if r.next(name) {
		*to = T(r.text())
	}
}

// Number reads a field that is a number without a sign of at most so many bits, if it is the
// next one.
func Number[T ~int | ~uint32 | ~uint64](r *Fields, name string, bits int, to *T) {
	if r.next(name) {
		*to = T(r.number(bits))
	}
}

// Time reads a field that is a time, if it is the next one.
func (r *Fields) Time(name string, to *time.Time) {
	if r.next(name) {
		*to = r.time()
	}
}

// Texts reads a field that is an object whose values are strings, if it is the next one.
func (r *Fields) Texts(name string, to *map[string]string) {
	if r.next(name) {
		*to = r.texts()
	}
}

// List reads a field that is an array of strings, if it is the next one.
func (r *Fields) List(name string, to *[]string) {
	if r.next(name) {
		*to = r.list()
	}
}

// Object reads a field that is an object, whose fields read reads, if it is the next one.
func (r *Fields) Object(name string, read func()) {
	if r.next(name) {
		r.before = '{'
		read()
		r.end()
	}
}

// End reads the end of the record, and reports whether all of it was read.
func (r *Fields) End() bool {
	r.end()
	return !r.failed && r.rest == ""
}

func (r *Fields) fail() { r.rest, r.failed = "", true }

// next reads the name of a field, if that is the next one.
func (r *Fields) next(name string) bool {
	n := len(name)
	if len(r.rest) < n+4 || r.rest[0] != r.before || r.rest[1] != '"' || r.rest[2:n+2] != name || r.rest[n+2:n+4] != `":` {
		return false
	}
	r.rest, r.before = r.rest[n+4:], ','
	return true
}

// end reads the end of an object.
func (r *Fields) end() {
	if r.before == '{' {
		r.expect("{")
	}
	r.expect("}")
	r.before = ','
}

// expect reads a text that must be next.
func (r *Fields) expect(text string) {
	rest, ok := strings.CutPrefix(r.rest, text)
	if r.rest = rest; !ok {
		r.fail()
	}
}

// text reads a string without an escape. Bytes that are not UTF-8 are a failure, because
// encoding/json replaces them.
func (r *Fields) text() string {
	r.expect(`"`)
	ascii := true
	for i := range len(r.rest) {
		switch c := r.rest[i]; {
		case c == '"':
			text := r.rest[:i]
			if !ascii && !utf8.ValidString(text) {
				r.fail()
				return ""
			}
			r.rest = r.rest[i+1:]
			return text
		case c < ' ' || c == '\\':
			r.fail()
			return ""
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.fail()
	return ""
}

// texts reads an object whose values are strings.
func (r *Fields) texts() map[string]string {
	r.expect("{")
	all := map[string]string{}
	for !r.failed && !strings.HasPrefix(r.rest, "}") {
		if len(all) > 0 {
			r.expect(",")
		}
		name := r.text()
		r.expect(":")
		all[name] = r.text()
	}
	r.expect("}")
	return all
}

// list reads an array of strings.
func (r *Fields) list() []string {
	r.expect("[")
	all := []string{}
	for !r.failed && !strings.HasPrefix(r.rest, "]") {
		if len(all) > 0 {
			r.expect(",")
		}
		all = append(all, r.text())
	}
	r.expect("]")
	return all
}

// time reads a time as encoding/json does.
func (r *Fields) time() (t time.Time) {
	from := len(r.raw) - len(r.rest) + 1
	text := r.text()
	if r.failed || t.UnmarshalText(r.raw[from:from+len(text)]) != nil {
		r.fail()
	}
	return t
}

// number reads a number without a sign that has at most so many bits.
func (r *Fields) number(bits int) uint64 {
	digits := r.rest[:len(r.rest)-len(strings.TrimLeft(r.rest, "0123456789"))]
	n, err := strconv.ParseUint(digits, 10, bits)
	if err != nil || digits[0] == '0' && len(digits) > 1 {
		r.fail()
		return 0
	}
	r.rest = r.rest[len(digits):]
	return n
}
