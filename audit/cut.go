package audit

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// A Cut states that the records First to Size-1 were removed from a log, and contains the
// state of the tree that remains valid without them. The records before First were
// removed by earlier cuts. Its signed form is a note of eight lines, in the order of the
// fields, which cannot be mistaken for a checkpoint or a receipt.
type Cut struct {
	Origin string // the log's origin
	// First is the Seq of the first record that this cut removed, and Size that of the
	// first record that stayed.
	First, Size uint64
	// Root and Frontier are those of the tree over the records before Size.
	Root     [32]byte
	Frontier [][32]byte
	// Export is the hash of the export with the removed records; see Report.Digest.
	Export [32]byte
	// Principal made the cut.
	Principal string
	// Time is in UTC.
	Time time.Time
}

// cutHead begins the text of a cut.
const cutHead = "audit cut of "

func (c Cut) text() string {
	b := fmt.Appendf(nil, "%s%s\nfrom %d\nsize %d\nroot %s\nfrontier", cutHead, c.Origin, c.First, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
	for _, hash := range c.Frontier {
		b = base64.StdEncoding.AppendEncode(append(b, ' '), hash[:])
	}
	return string(fmt.Appendf(b, "\nexport %s\nby %q\nat %s\n", base64.StdEncoding.EncodeToString(c.Export[:]), c.Principal,
		c.Time.UTC().Format(time.RFC3339Nano)))
}

// State returns the state of the tree over the records before Size.
func (c Cut) State() State { return State{Size: c.Size, Frontier: c.Frontier} }

// SignCut returns c as a signed note. The caller must sign only the state of durable
// records. Errors: ErrCut if c has another origin, removes no record, has a frontier that
// does not fit its size and root, or has a principal that cannot be encoded; ErrKey after
// Wipe.
func (k *LogKey) SignCut(c Cut) ([]byte, error) {
	if c.Origin != k.verifier.Name() {
		return nil, fmt.Errorf("%w: its origin is %q", ErrCut, c.Origin)
	}
	if _, err := parseCut(c.text(), Tree{Suite(k.verifier.suite)}); err != nil {
		return nil, err
	}
	text, err := note.Sign(&note.Note{Text: c.text()}, signer{k.verifier, k.seed})
	if err != nil {
		return nil, fmt.Errorf("audit: signing: %w", err)
	}
	return text, nil
}

// OpenCut parses a signed cut and verifies it with the log's verifier key. Errors: ErrKey
// and ErrSignature as for OpenCheckpoint; ErrCut if the signed text is not a cut of the
// key's log, or its frontier does not lead to its root.
func OpenCut(text []byte, vkey string) (Cut, error) {
	verifier, err := newVerifier(vkey)
	if err != nil {
		return Cut{}, err
	}
	signed, err := openNote(text, verifier)
	if err != nil {
		return Cut{}, err
	}
	return openCutText(signed, verifier)
}

func openCutText(signed string, verifier *verifier) (Cut, error) {
	c, err := parseCut(signed, Tree{Suite(verifier.suite)})
	if err == nil && c.Origin != verifier.Name() {
		err = fmt.Errorf("%w: its origin is %q", ErrCut, c.Origin)
	}
	return c, err
}

// openPinned opens a signed checkpoint or a signed cut, and returns the size and root that
// it states.
func openPinned(text []byte, verifier *verifier) (Checkpoint, error) {
	if !bytes.HasPrefix(text, []byte(cutHead)) {
		return openCheckpoint(text, verifier)
	}
	signed, err := openNote(text, verifier)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := openCutText(signed, verifier)
	return Checkpoint{Origin: c.Origin, Size: c.Size, Root: c.Root}, err
}

func parseCut(text string, t Tree) (c Cut, err error) {
	fault := func(what string) (Cut, error) { return Cut{}, fmt.Errorf("%w: %s", ErrCut, what) }
	lines := strings.Split(text, "\n")
	names := []string{cutHead, "from ", "size ", "root ", "frontier ", "export ", "by ", "at "}
	if len(lines) != len(names)+1 {
		return fault("not eight lines")
	}
	for i, name := range names {
		var ok bool
		if lines[i], ok = strings.CutPrefix(lines[i], name); !ok {
			return fault("line " + strconv.Itoa(i+1))
		}
	}
	var bad [8]error
	c.Origin = lines[0]
	c.First, bad[1] = strconv.ParseUint(lines[1], 10, 64)
	c.Size, bad[2] = strconv.ParseUint(lines[2], 10, 64)
	c.Root, bad[3] = parseHash(lines[3])
	for _, field := range strings.Split(lines[4], " ") {
		hash, err := parseHash(field)
		if err != nil {
			bad[4] = err
		}
		c.Frontier = append(c.Frontier, hash)
	}
	c.Export, bad[5] = parseHash(lines[5])
	c.Principal, bad[6] = strconv.Unquote(lines[6])
	c.Time, bad[7] = time.Parse(time.RFC3339Nano, lines[7])
	for i, err := range bad {
		if err != nil {
			return fault("line " + strconv.Itoa(i+1))
		}
	}
	switch {
	case c.text() != text:
		return fault("not in its one form")
	case c.First >= c.Size:
		return fault("it removes no record")
	case !c.State().Valid() || t.Root(c.State()) != c.Root:
		return fault("the frontier does not lead to the root")
	}
	return c, nil
}

func parseHash(text string) ([32]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 32 {
		return [32]byte{}, fmt.Errorf("a hash is 32 bytes in base64")
	}
	return [32]byte(b), nil
}
