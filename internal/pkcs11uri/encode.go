package pkcs11uri

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String returns the URI in a form that Parse parses to the same value. Attributes are
// sorted by name.
func (u URI) String() string {
	s := u.Scheme + ":" + encodeAll(u.Path, ";")
	if len(u.Query) > 0 {
		s += "?" + encodeAll(u.Query, "&")
	}
	return s
}

func encodeAll(list map[string]string, separator string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(list)) {
		parts = append(parts, name+"="+encode(list[name]))
	}
	return strings.Join(parts, separator)
}

// encode percent-encodes all characters but those that RFC 3986 calls unreserved, and the
// slash and colon of paths.
func encode(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		if isName(string(rune(c))) || c == '.' || c == '~' || c == '/' || c == ':' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
