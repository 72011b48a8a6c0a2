// Package pkcs11uri parses the URIs of RFC 7512, which identify a token and the module
// that gives access to it: a scheme, attributes separated by semicolons and, after a
// question mark, query attributes separated by ampersands.
//
//	pkcs11:token=vault;serial=0a1b?module-path=/usr/lib/libhsm.so&pin-source=file:/etc/pin
package pkcs11uri

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// A URI is a parsed URI. Names and values are percent-decoded.
type URI struct {
	Scheme      string
	Path, Query map[string]string
}

// MaxLength is the longest URI in bytes that Parse accepts.
const MaxLength = 4096

// ErrSyntax reports a malformed URI. Errors quote names but never values, because a user
// may have put a PIN there by mistake.
var ErrSyntax = errors.New("pkcs11uri: not a device URI")

// Parse parses a URI. It rejects an attribute that occurs twice, has no name or no "=",
// and a value that is not UTF-8 or contains a NUL. RFC 7512 ignores unknown attributes;
// Parse returns every attribute, and the caller decides.
func Parse(text string) (URI, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	if !ok || len(text) > MaxLength || !isScheme(scheme) {
		return URI{}, fmt.Errorf("%w: no scheme, or longer than %d bytes", ErrSyntax, MaxLength)
	}
	path, query, asked := strings.Cut(rest, "?")
	u := URI{Scheme: scheme}
	var err error
	if u.Path, err = attributes(path, ";"); err != nil {
		return URI{}, err
	}
	if asked && query == "" {
		return URI{}, fmt.Errorf("%w: nothing after the question mark", ErrSyntax)
	}
	if u.Query, err = attributes(query, "&"); err != nil {
		return URI{}, err
	}
	return u, nil
}

// isScheme accepts lower-case letters and digits, a letter first.
func isScheme(s string) bool {
	for i, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// attributes parses the attributes before or after the question mark.
func attributes(text, separator string) (map[string]string, error) {
	list := make(map[string]string)
	if text == "" {
		return list, nil
	}
	for attribute := range strings.SplitSeq(text, separator) {
		name, value, ok := strings.Cut(attribute, "=")
		if !ok || !isName(name) {
			return nil, fmt.Errorf("%w: an attribute is not of the form name=value", ErrSyntax)
		}
		if _, twice := list[name]; twice {
			return nil, fmt.Errorf("%w: %s is there twice", ErrSyntax, name)
		}
		decoded, err := decode(value)
		if err != nil {
			return nil, fmt.Errorf("%w: the value of %s %w", ErrSyntax, name, err)
		}
		list[name] = decoded
	}
	return list, nil
}

// isName accepts letters, digits, "-" and "_", as RFC 7512 does.
func isName(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

var (
	errPercent   = errors.New("has a broken percent-encoding")
	errCharacter = errors.New("has a character that must be percent-encoded")
	errText      = errors.New("is no UTF-8, or holds a NUL")
)

// decode resolves percent-encoding.
func decode(value string) (string, error) {
	out := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case c == '%':
			if i+2 >= len(value) {
				return "", errPercent
			}
			high, low := hexDigit(value[i+1]), hexDigit(value[i+2])
			if high < 0 || low < 0 {
				return "", errPercent
			}
			c, i = byte(high<<4|low), i+2
		case c <= ' ' || c >= 0x7f || strings.IndexByte(`"#<>\^{}`+"`", c) >= 0:
			return "", errCharacter
		}
		out = append(out, c)
	}
	if !utf8.Valid(out) || strings.IndexByte(string(out), 0) >= 0 {
		return "", errText
	}
	return string(out), nil
}

// hexDigit returns the value of a digit, or -1.
func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
