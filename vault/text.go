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

// The limits of what describes a CMK.
const (
	maxAlias       = 60
	maxDescription = 1024
	maxTags        = 50
	maxTagKey      = 128
	maxTagValue    = 256
	// maxText is how long description and tags are as JSON, so that whatever the CMK comes
	// to later, such as another state, has room in its record.
	maxText = keystore.MaxValue - 2<<10
)

// checkAlias says what is wrong with an alias.
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

// checkText says what is wrong with a CMK's description and tags.
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

// ownTags checks tags and copies them, so that the caller may go on changing the map.
func ownTags(tags map[string]string) (map[string]string, error) {
	if len(tags) > maxTags { // before the copy, which may be large
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

// maxShown is how much of what a caller gave an error text has.
const maxShown = 80

// shown is how an error text has what a caller gave: as it is if that is short and plain,
// else quoted and cut. A text stays one line of a log, and no long one.
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
