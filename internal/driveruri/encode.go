package driveruri

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// String writes the URI so that Parse reads the same. Attributes are in order of
// their names.
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

// encode leaves what RFC 3986 calls unreserved, and the slash and colon of paths.
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
