package audit

import (
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/mod/sumdb/note"
	"strongroom.example/internal/suite"
)

// A LogKey signs the checkpoints of one log, with Ed25519 (RFC 8032) or, in suite SM,
// with SM2 (GB/T 32918.2), SM3 and the signer id 1234567812345678. It prints redacted. It
// is safe for concurrent use, except for Wipe.
type LogKey struct {
	seed     []byte // the caller's slice, not a copy
	verifier *verifier
}

// NewLogKey makes the key of the log named origin from a seed of 32 bytes, for the
// signature algorithm of the suite. It does not copy the seed: the caller keeps it in
// locked memory for as long as the key signs, and calls Wipe before freeing that memory.
//
// It returns ErrKey if the seed has another length, if the suite is unknown or refused
// because the process enforces FIPS 140, and if the origin is empty or contains a space,
// a control character or a plus sign, which a signed note does not allow.
func NewLogKey(s Suite, origin string, seed []byte) (*LogKey, error) {
	id := s.id()
	if !id.Usable() {
		return nil, fmt.Errorf("%w: %v is not known, or refused where FIPS 140 is enforced", ErrKey, id)
	}
	public, err := id.PublicKey(seed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	v := &verifier{suite: id, origin: origin, public: public}
	if err := v.check(); err != nil {
		return nil, err
	}
	return &LogKey{seed: seed, verifier: v}, nil
}

// Sign returns c as a signed note. The caller must sign only a checkpoint over durable
// records, because a published checkpoint cannot be withdrawn. Errors: ErrCheckpoint if c
// has another origin; ErrKey after Wipe, or if the caller has changed the seed.
func (k *LogKey) Sign(c Checkpoint) ([]byte, error) {
	if c.Origin != k.verifier.Name() {
		return nil, fmt.Errorf("%w: its origin is %q", ErrCheckpoint, c.Origin)
	}
	text, err := note.Sign(&note.Note{Text: c.text()}, signer{k.verifier, k.seed})
	if err != nil {
		return nil, fmt.Errorf("audit: signing: %w", err)
	}
	return text, nil
}

// Verifier returns the public key as a verifier key of C2SP signed-note: origin+key
// id+base64. Verifiers of the log pin this text; it also determines the algorithm. Any
// program that implements signed notes reads an Ed25519 key. An SM2 key has a kind of its
// own, specified in docs/formats.md.
func (k *LogKey) Verifier() string { return k.verifier.String() }

// Wipe zeroes the seed in the caller's memory. The key cannot sign afterwards.
func (k *LogKey) Wipe() {
	suite.Wipe(k.seed)
	k.seed = nil
}

// String returns the name of the log, without the key.
func (k LogKey) String() string {
	if k.verifier == nil {
		return "audit.LogKey(none)"
	}
	return "audit.LogKey(" + k.verifier.Name() + ", redacted)"
}

// GoString returns String.
func (k LogKey) GoString() string { return k.String() }

// Format writes String for every verb.
func (k LogKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LogValue returns String.
func (k LogKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText returns String, for JSON and XML.
func (k LogKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// signer implements note.Signer without a copy of the seed in a string.
type signer struct {
	*verifier
	seed []byte
}

// Sign expands the seed for this signature only, and verifies the signature.
func (s signer) Sign(msg []byte) ([]byte, error) {
	sig, err := s.suite.Sign(s.seed, msg)
	if err != nil {
		return nil, fmt.Errorf("%w: it was wiped: %w", ErrKey, err)
	}
	if !s.Verify(msg, sig) {
		return nil, fmt.Errorf("%w: its seed was changed", ErrKey)
	}
	return sig, nil
}
