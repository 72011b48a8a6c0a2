package vault

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom.example/keystore"
)

// Limits of a CMK's alias, description and tags.
const (
	maxAlias       = 60
	maxDescription = 1024
	maxTags        = 50
	maxTagKey      = 128
	maxTagValue    = 256
	// maxText is the maximum size of description and tags as JSON. It leaves room in the
	// record for the CMK's other fields, whatever they become.
	maxText = keystore.MaxValue - 2<<10
)

// checkAlias returns what is wrong with an alias.
func checkAlias(a string) error {
	if len(a) < 1 || len(a) > maxAlias {
		return invalid("an alias has 1 to %d characters", maxAlias)
	}
	if _, ok := parseKeyID(strings.ToLower(a)); ok {
		return invalid("an alias must not look like a key id")
	}
	for i, r := range []byte(a) {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || r != '_' && r != '-') {
			return invalid("alias: only A-Z a-z 0-9 _ and -, the first a letter or digit")
		}
	}
	return nil
}

// checkText returns what is wrong with a CMK's description and tags.
func checkText(description string, tags map[string]string) error {
	if err := errors.Join(checkDescription(description), checkTags(tags)); err != nil {
		return err
	}
	if n := len(encode(Key{Description: description, Tags: tags})); n > maxText {
		return fmt.Errorf("%w: description and tags have %d bytes as JSON, the limit is %d", ErrTooLarge, n, maxText)
	}
	return nil
}

func checkDescription(d string) error {
	if len(d) > maxDescription {
		return fmt.Errorf("%w: description has %d bytes, the limit is %d", ErrTooLarge, len(d), maxDescription)
	}
	if !utf8.ValidString(d) {
		return invalid("description is not UTF-8")
	}
	return nil
}

// ownTags checks tags and copies them, so that the caller may change the map afterwards.
func ownTags(tags map[string]string) (map[string]string, error) {
	if len(tags) > maxTags { // before copying, because the map may be large
		return nil, checkTags(tags)
	}
	own := maps.Clone(tags)
	if own == nil {
		own = map[string]string{}
	}
	return own, checkTags(own)
}

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalid("%d tags, the limit is %d", len(tags), maxTags)
	}
	for name, value := range tags {
		if len(name) < 1 || len(name) > maxTagKey || len(value) > maxTagValue {
			return invalid("a tag has a key of 1 to %d bytes and a value of at most %d", maxTagKey, maxTagValue)
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) {
			return invalid("a tag is not UTF-8")
		}
	}
	return nil
}

// maxShown is the maximum number of bytes of caller input in an error text.
const maxShown = 80

// shown formats caller input for an error text: unchanged if it is short and printable,
// otherwise quoted and cut. The text remains one line of limited length.
func shown(s string) string {
	unplain := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if len(s) <= maxShown && strings.IndexFunc(s, unplain) < 0 {
		return s
	}
	if len(s) > maxShown {
		return strconv.Quote(s[:maxShown]) + "..."
	}
	return strconv.Quote(s)
}
