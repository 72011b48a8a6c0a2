package audit

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A Checkpoint is the size and root of a log at one moment. Its signed form is a C2SP
// tlog-checkpoint: a signed note whose text has three lines, the origin, the size and the
// root in base64.
type Checkpoint struct {
	// Origin names the log. It is also the name of the log key.
	Origin string
	Size   uint64
	Root   [32]byte
}

func (c Checkpoint) text() string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// OpenCheckpoint parses a signed checkpoint and verifies it with vkey, the log's verifier
// key in the format of C2SP signed-note, as LogKey.Verifier returns it. The verifier key
// also determines the algorithm. Signatures by other keys are allowed and ignored.
// Errors:
//   - ErrKey: vkey cannot be parsed.
//   - ErrSignature: text has no valid signature by vkey's key.
//   - ErrCheckpoint: the signed text is not a checkpoint of vkey's log.
func OpenCheckpoint(text []byte, vkey string) (Checkpoint, error) {
	verifier, err := newVerifier(vkey)
	if err != nil {
		return Checkpoint{}, err
	}
	return openCheckpoint(text, verifier)
}

func openCheckpoint(text []byte, verifier *verifier) (Checkpoint, error) {
	signed, err := openNote(text, verifier)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := parseCheckpoint(signed)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != verifier.Name() {
		return Checkpoint{}, fmt.Errorf("%w: its origin is %q", ErrCheckpoint, c.Origin)
	}
	return c, nil
}

func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return Checkpoint{}, fmt.Errorf("%w: not three lines", ErrCheckpoint)
	}
	size, sizeErr := strconv.ParseUint(lines[1], 10, 64)
	root, rootErr := base64.StdEncoding.DecodeString(lines[2])
	if err := errors.Join(sizeErr, rootErr); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	if len(root) != 32 {
		return Checkpoint{}, fmt.Errorf("%w: a root of %d bytes", ErrCheckpoint, len(root))
	}
	c := Checkpoint{Origin: lines[0], Size: size, Root: [32]byte(root)}
	if c.text() != text {
		return Checkpoint{}, fmt.Errorf("%w: not in its one form", ErrCheckpoint)
	}
	return c, nil
}
