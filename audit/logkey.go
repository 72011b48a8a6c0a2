package audit

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"

	"golang.org/x/mod/sumdb/note"
	"strongroom.example/internal/suite"
)

// A LogKey signs the checkpoints of one log, by Ed25519 (RFC 8032). It prints
// redacted. It is safe for concurrent use, but for Wipe.
type LogKey struct {
	seed     []byte // the caller's memory
	vkey     string
	verifier note.Verifier
}

// NewLogKey makes the key of the log named origin from a seed of 32 bytes. It does
// not copy the seed: the caller keeps it, in locked memory, for as long as the key
// signs, and calls Wipe before giving that memory back.
//
// Another length of seed is ErrKey, and so is an origin that is empty or has a
// space or a plus sign, as a signed note cannot name such a key.
func NewLogKey(origin string, seed []byte) (*LogKey, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%w: the seed has %d bytes, not %d", ErrKey, len(seed), ed25519.SeedSize)
	}
	private := ed25519.NewKeyFromSeed(seed)
	defer suite.Wipe(private)
	vkey, err := note.NewEd25519VerifierKey(origin, ed25519.PublicKey(ed25519.PublicKey(slices.Clone(private[ed25519.SeedSize:]))))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	verifier, err := newVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("%w (origin %q)", err, origin)
	}
	return &LogKey{seed: seed, vkey: vkey, verifier: verifier}, nil
}

// Sign returns c as a signed note. Sign only what is durable: a checkpoint that was
// given away can never be taken back. A checkpoint of another origin is
// ErrCheckpoint. After Wipe, or when the caller has changed the seed, it is ErrKey.
func (k *LogKey) Sign(c Checkpoint) ([]byte, error) {
	if c.Origin != k.verifier.Name() {
		return nil, fmt.Errorf("%w: its origin is %q", ErrCheckpoint, c.Origin)
	}
	text, err := note.Sign(&note.Note{Text: c.text()}, signer{k})
	if err != nil {
		return nil, fmt.Errorf("audit: signing: %w", err)
	}
	return text, nil
}

// Verifier returns the public half as a verifier key of signed notes:
// origin+hash+base64. It is what the readers of the log pin.
func (k *LogKey) Verifier() string { return k.vkey }

// Wipe zeroes the seed, in the caller's memory.
func (k *LogKey) Wipe() {
	suite.Wipe(k.seed)
	k.seed = nil
}

// String names the log, not the key.
func (k *LogKey) String() string {
	if k == nil || k.verifier == nil {
		return "audit.LogKey(none)"
	}
	return "audit.LogKey(" + k.verifier.Name() + ", redacted)"
}

// GoString is String.
func (k *LogKey) GoString() string { return k.String() }

// Format writes String for every verb.
func (k *LogKey) Format(f fmt.State, _ rune) { fmt.Fprint(f, k.String()) }

// LogValue is String.
func (k *LogKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON is String.
func (k *LogKey) MarshalJSON() ([]byte, error) { return json.Marshal(k.String()) }

// signer shows a LogKey to package note, which would else want it as a string. A
// key of another algorithm needs another signer and a case in newVerifier.
type signer struct{ key *LogKey }

func (s signer) Name() string    { return s.key.verifier.Name() }
func (s signer) KeyHash() uint32 { return s.key.verifier.KeyHash() }

// Sign expands the seed for this one signature.
func (s signer) Sign(msg []byte) ([]byte, error) {
	if len(s.key.seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%w: it was wiped", ErrKey)
	}
	private := ed25519.NewKeyFromSeed(s.key.seed)
	defer suite.Wipe(private)
	sig := ed25519.Sign(private, msg)
	if !s.key.verifier.Verify(msg, sig) {
		return nil, fmt.Errorf("%w: its seed was changed", ErrKey)
	}
	return sig, nil
}
