package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// Origin returns the name of a vault's log: strongroom.example/ and its id.
func Origin(vault string) string { return "strongroom.example/" + vault }

// An Export has the header fields of an export.
type Export struct {
	// Vault is the vault's id. The log's origin is this id, or ends in a slash followed
	// by it, so that the checkpoints' signatures cover the id.
	Vault string
	Suite Suite
	// LogKey is the verifier key of the log. Its name is the origin.
	LogKey string
	// First is the Seq of the first record. Frontier is the frontier of the State at that
	// size, and is empty if First is 0. An export with First above 0 verifies only
	// against a checkpoint over the records before it: see VerifyExportFrom.
	First    uint64
	Frontier [][32]byte
}

// WriteExport writes an export: one line of JSON each for the header, for each record in
// leaves, beginning with Seq First, and for each signed checkpoint. Checkpoints are in
// ascending order of size, and the last one must cover the last record.
//
// WriteExport checks each line as VerifyExport does. Its memory use does not depend on
// the size of the export. Errors:
//   - *Fault: the export would not verify; it is not written to its end.
//   - ErrKey: the LogKey cannot be parsed.
//   - ErrSignature, ErrCheckpoint: a checkpoint is not one that the log key signed.
//   - The errors of leaves and w, wrapped.
func WriteExport(w io.Writer, e Export, leaves iter.Seq2[[]byte, error], checkpoints [][]byte) error {
	verifier, err := newVerifier(e.LogKey)
	if err != nil {
		return err
	}
	if len(checkpoints) == 0 {
		return &Fault{Seq: e.First, Kind: Truncated, Err: errors.New("there is no checkpoint")}
	}
	last, err := openCheckpoint(checkpoints[len(checkpoints)-1], verifier)
	if err != nil {
		return err
	}
	h := header{Format: 1, Vault: e.Vault, Suite: e.Suite.String(), Origin: verifier.Name(), LogKey: e.LogKey,
		First: e.First, Size: last.Size, Checkpoints: uint64(len(checkpoints))}
	out := &exporter{w: bufio.NewWriterSize(w, 64<<10), check: newChecker(h, e.Suite.id(), verifier), pending: checkpoints}
	if err := out.begin(h, e.Frontier); err != nil {
		return err
	}
	for leaf, err := range leaves {
		if err != nil {
			return fmt.Errorf("audit: reading the log: %w", err)
		}
		if err := out.record(leaf); err != nil {
			return err
		}
	}
	if err := out.check.end(); err != nil {
		return err
	}
	return out.w.Flush()
}

// exporter writes the lines of an export. It first checks each line as a verifier does.
type exporter struct {
	w       *bufio.Writer
	check   *checker
	pending [][]byte // checkpoints not yet written
	due     uint64   // the size of the first of pending, once its signature has been verified
	buf     []byte
}

func (o *exporter) begin(h header, frontier [][32]byte) error {
	if err := o.check.begin(h); err != nil {
		return err
	}
	if err := o.line(h.append(o.buf[:0])); err != nil {
		return err
	}
	if h.First == 0 {
		return o.checkpoints()
	}
	if err := o.check.resume(frontier); err != nil {
		return err
	}
	if err := o.line(appendFrontierLine(o.buf[:0], frontier)); err != nil {
		return err
	}
	return o.checkpoints()
}

func (o *exporter) record(leaf []byte) error {
	line := appendRecordLine(o.buf[:0], o.check.tree.Leaf(leaf), leaf)
	if len(line) >= maxLine {
		return o.check.fault(Malformed, o.check.state.Size, errLong)
	}
	if err := o.check.record(line); err != nil {
		return err
	}
	if err := o.line(line); err != nil {
		return err
	}
	return o.checkpoints()
}

// checkpoints writes the pending checkpoints whose size the records so far have reached.
func (o *exporter) checkpoints() error {
	for len(o.pending) > 0 && o.due <= o.check.state.Size {
		c, err := openCheckpoint(o.pending[0], o.check.verifier)
		if err != nil {
			return err
		}
		if o.due = c.Size; o.due > o.check.state.Size {
			return nil
		}
		line := appendCheckpointLine(o.buf[:0], o.pending[0])
		if err := o.check.checkpoint(line); err != nil {
			return err
		}
		if err := o.line(line); err != nil {
			return err
		}
		o.pending = o.pending[1:]
	}
	return nil
}

func (o *exporter) line(line []byte) error {
	o.buf = append(line, '\n')
	if _, err := o.w.Write(o.buf); err != nil {
		return fmt.Errorf("audit: writing the export: %w", err)
	}
	o.check.line++
	return nil
}

// names reports whether an origin belongs to a vault.
func names(origin, vault string) bool {
	return vault != "" && (origin == vault || strings.HasSuffix(origin, "/"+vault))
}
