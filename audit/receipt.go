package audit

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A Receipt states that a version of a CMK was moved from one driver to another. The
// audit record of the move contains it, signed by the log key, so that it can be verified
// without the log. Its signed form is a note of seven lines, in the order of the fields,
// which cannot be mistaken for a checkpoint.
type Receipt struct {
	Origin  string // the log's origin
	Key     string // the CMK's id
	Version uint32
	// From and To are the drivers, with the ids of the material in each.
	From, To Place
	// Device is the serial number of the device behind To, empty for software.
	Device string
	// Time is in UTC.
	Time time.Time
}

// A Place is the location of key material.
type Place struct{ Driver, Material string }

func (r Receipt) text() string {
	return fmt.Sprintf("move receipt of %s\nkey %s\nversion %d\nfrom %q %s\nto %q %s\ndevice %q\nat %s\n", r.Origin, r.Key, r.Version,
		r.From.Driver, r.From.Material, r.To.Driver, r.To.Material, r.Device, r.Time.UTC().Format(time.RFC3339Nano))
}

// SignReceipt returns r as a signed note. Errors: ErrReceipt if r has another origin or a
// field that cannot be encoded, such as a name with a line break; ErrKey after Wipe.
func (k *LogKey) SignReceipt(r Receipt) ([]byte, error) {
	if again, err := parseReceipt(r.text()); err != nil || again.text() != r.text() || r.Origin != k.verifier.Name() {
		return nil, fmt.Errorf("%w: a field that cannot be written", ErrReceipt)
	}
	text, err := note.Sign(&note.Note{Text: r.text()}, signer{k.verifier, k.seed})
	if err != nil {
		return nil, fmt.Errorf("audit: signing: %w", err)
	}
	return text, nil
}

// OpenReceipt parses a signed receipt and verifies it with the log's verifier key.
// Errors: ErrKey and ErrSignature as for OpenCheckpoint; ErrReceipt if the signed text is
// not a receipt of the key's log.
func OpenReceipt(text []byte, vkey string) (Receipt, error) {
	verifier, err := newVerifier(vkey)
	if err != nil {
		return Receipt{}, err
	}
	signed, err := openNote(text, verifier)
	if err != nil {
		return Receipt{}, err
	}
	r, err := parseReceipt(signed)
	if err == nil && r.Origin != verifier.Name() {
		err = fmt.Errorf("%w: its origin is %q", ErrReceipt, r.Origin)
	}
	return r, err
}

// openNote returns the text of a note with a valid signature by the verifier's key, or
// ErrSignature.
func openNote(text []byte, verifier *verifier) (string, error) {
	signed, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrSignature, err)
	}
	for _, sig := range signed.Sigs {
		// Package note ignores stray bits at the end of the base64; a signature must have
		// only one encoding.
		if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil {
			return "", fmt.Errorf("%w: %w", ErrSignature, err)
		}
	}
	return signed.Text, nil
}

func parseReceipt(text string) (r Receipt, err error) {
	lines := strings.SplitAfter(text, "\n")
	if len(lines) != 8 || lines[7] != "" {
		return Receipt{}, fmt.Errorf("%w: not seven lines", ErrReceipt)
	}
	var at string
	for i, field := range []struct {
		format string
		into   []any
	}{
		{"move receipt of %s\n", []any{&r.Origin}},
		{"key %s\n", []any{&r.Key}},
		{"version %d\n", []any{&r.Version}},
		{"from %q %s\n", []any{&r.From.Driver, &r.From.Material}},
		{"to %q %s\n", []any{&r.To.Driver, &r.To.Material}},
		{"device %q\n", []any{&r.Device}},
		{"at %s\n", []any{&at}},
	} {
		if _, err := fmt.Sscanf(lines[i], field.format, field.into...); err != nil {
			return Receipt{}, fmt.Errorf("%w: line %d", ErrReceipt, i+1)
		}
	}
	if r.Time, err = time.Parse(time.RFC3339Nano, at); err != nil || r.text() != text {
		return Receipt{}, fmt.Errorf("%w: not in its one form", ErrReceipt)
	}
	return r, nil
}
