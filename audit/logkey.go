package audit

import (
	"fmt"
	"io"
	"log/slog"

	"golang.org/x/mod/sumdb/note"
	"strongroom.example/internal/suite"
)

// A LogKey signs the checkpoints of one log: by Ed25519 (RFC 8032), or in suite SM
// by SM2 (GB/T 32918.2) with SM3 and the signer's id 1234567812345678. It prints
// redacted. It is safe for concurrent use, but for Wipe.
type LogKey struct {
	seed     []byte // the caller's memory
	verifier *verifier
}

// NewLogKey makes the key of the log named origin from a seed of 32 bytes, for the
// signature of the suite. It does not copy the seed: the caller keeps it, in locked
// memory, for as long as the key signs, and calls Wipe before giving that memory back.
//
// Another length of seed is ErrKey, and so are a suite that is unknown, or refused by a
// process that enforces FIPS 140, and an origin that is empty or has a space, a control
// character or a plus sign, as a signed note cannot name such a key.
func NewLogKey(id Suite, origin string, seed []byte) (*LogKey, error) {
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

// Sign returns c as a signed note. Sign only what is durable: a checkpoint that was
// given away can never be taken back. A checkpoint of another origin is
// ErrCheckpoint. After Wipe, or when the caller has changed the seed, it is ErrKey.
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

// Verifier returns the public half as a verifier key of signed notes: origin+key
// id+base64. It is what the readers of the log pin, and it tells the algorithm. An
// Ed25519 key is read by any program that knows signed notes; an SM2 key has a kind
// of its own, see the format specification.
func (k *LogKey) Verifier() string { return k.verifier.String() }

// Wipe zeroes the seed, in the caller's memory.
func (k *LogKey) Wipe() {
	suite.Wipe(k.seed)
	k.seed = nil
}

// String names the log, not the key.
func (k LogKey) String() string {
	if k.verifier == nil {
		return "audit.LogKey(none)"
	}
	return "audit.LogKey(" + k.verifier.Name() + ", redacted)"
}

// GoString is String.
func (k LogKey) GoString() string { return k.String() }

// Format writes String for every verb.
func (k LogKey) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// LogValue is String.
func (k LogKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText is String, for JSON and XML.
func (k LogKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// signer shows a seed to package note, which would else want it as a string.
type signer struct {
	*verifier
	seed []byte
}

// Sign expands the seed for this one signature.
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
