// Package inputtext checks the names, descriptions and tags that callers give, and quotes what
// they give in error texts.
package inputtext

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom.example/vault/internal/fault"
	"strongroom.example/vault/internal/keyid"
)

// The limits of a description and of tags, in bytes but for MaxTags.
const (
	MaxDescription = 1024
	MaxTags        = 50
	MaxTagKey      = 128
	MaxTagValue    = 256
)

// CheckName returns what is wrong with a name, which has at most limit letters, digits and
// others, and begins with a letter or digit.
func CheckName(what, name string, limit int, others string) error {
	if len(name) < 1 || len(name) > limit {
		return fault.Invalid("%s has 1 to %d characters", what, limit)
	}
	if _, ok := keyid.Parse(strings.ToLower(name)); ok {
		return fault.Invalid("%s must not look like a key id", what)
	}
	for i, r := range []byte(name) {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || strings.IndexByte(others, r) < 0) {
			return fault.Invalid("%s has only A-Z a-z 0-9 and %s, and begins with a letter or digit", what, strings.Join(strings.Split(others, ""), " "))
		}
	}
	return nil
}

// CheckDescription returns what is wrong with a description.
func CheckDescription(d string) error {
	if len(d) > MaxDescription {
		return fmt.Errorf("%w: description has %d bytes, the limit is %d", fault.ErrTooLarge, len(d), MaxDescription)
	}
	if !utf8.ValidString(d) {
		return fault.Invalid("description is not UTF-8")
	}
	return nil
}

// Check returns what is wrong with a description and tags.
func Check(description string, tags map[string]string) error {
	return errors.Join(CheckDescription(description), checkTags(tags))
}

// CopyTags checks tags and copies them, so that the caller may change the map afterwards.
func CopyTags(tags map[string]string) (map[string]string, error) {
	if len(tags) > MaxTags { // before copying, because the map may be large
		return nil, checkTags(tags)
	}
	own := maps.Clone(tags)
	if own == nil {
		own = map[string]string{}
	}
	return own, checkTags(own)
}

func checkTags(tags map[string]string) error {
	if len(tags) > MaxTags {
		return fault.Invalid("%d tags, the limit is %d", len(tags), MaxTags)
	}
	for name, value := range tags {
		if len(name) < 1 || len(name) > MaxTagKey || len(value) > MaxTagValue {
			return fault.Invalid("a tag has a key of 1 to %d bytes and a value of at most %d", MaxTagKey, MaxTagValue)
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return fault.Invalid("a tag is not UTF-8")
		}
	}
	return nil
}

// maxQuoted is the maximum number of bytes of caller input in an error text.
const maxQuoted = 80

// Quote formats caller input for an error text: unchanged if it is short and printable,
// otherwise quoted and cut. The text remains one line of limited length.
func Quote(s string) string {
	unplain := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if len(s) <= maxQuoted && strings.IndexFunc(s, unplain) < 0 {
		return s
	}
	if len(s) > maxQuoted {
		return strconv.Quote(s[:maxQuoted]) + "..."
	}
	return strconv.Quote(s)
}
