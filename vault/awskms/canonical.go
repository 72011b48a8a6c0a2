package awskms

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
)

// canonicalPath returns the path of a request's URI without dot segments and empty segments,
// and encodes it once more (RFC 3986, 2.1).
func canonicalPath(path string) string {
	segments := []string{}
	for segment := range strings.SplitSeq(path, "/") {
		switch segment {
		case "", ".":
		case "..":
			segments = segments[:max(0, len(segments)-1)]
		default:
			segments = append(segments, uriEncode(segment))
		}
	}
	out := "/" + strings.Join(segments, "/")
	if len(segments) > 0 && strings.HasSuffix(path, "/") {
		out += "/"
	}
	return out
}

// canonicalQuery returns the parameters of a query, encoded, and ordered by name and value.
func canonicalQuery(query string) string {
	type parameter struct{ name, value string }
	var list []parameter
	for text := range strings.SplitSeq(query, "&") {
		if text != "" {
			name, value, _ := strings.Cut(text, "=")
			list = append(list, parameter{uriEncode(decoded(name)), uriEncode(decoded(value))})
		}
	}
	slices.SortFunc(list, func(a, b parameter) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.value, b.value))
	})
	var out strings.Builder
	for i, p := range list {
		if i > 0 {
			out.WriteByte('&')
		}
		out.WriteString(p.name + "=" + p.value)
	}
	return out.String()
}

// decoded returns text without percent-encoding, or as it is if the encoding is wrong.
func decoded(text string) string {
	if plain, err := url.PathUnescape(text); err == nil {
		return plain
	}
	return text
}

// uriEncode encodes every byte that is not unreserved (RFC 3986, 2.3).
func uriEncode(text string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
			out.WriteByte(c)
			continue
		}
		out.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return out.String()
}
