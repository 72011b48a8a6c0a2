package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A Report says what an export that verified holds.
type Report struct {
	Origin string
	// Records is how many there are, First and Last their first and last Seq; both
	// are the First of the export where there are none.
	Records, First, Last uint64
	// Checkpoints is how many were verified. The last one covers all records.
	Checkpoints uint64
}

// VerifyExport checks an export of the whole log against the log's verifier key, which the
// caller has pinned: took from the vault once, and kept elsewhere. It needs no vault, reads
// r once and holds at most a line of 1 MiB. An export without the first records of the log
// is a Gap at record 0; VerifyExportFrom checks one that begins where an earlier one ended.
//
// The error of a bad export is a *Fault, which matches ErrFault and names the first
// bad record. A vkey that cannot be read is ErrKey; an error of r is passed on.
//
// What it cannot see: records after the last checkpoint that was signed, and the
// loss of all records after an earlier checkpoint, together with a header to match.
// Compare Report.Last with what else is known for that, or pin a checkpoint: see
// VerifyExportFrom.
func VerifyExport(r io.Reader, vkey string) (Report, error) {
	report, _, err := VerifyExportFrom(r, vkey, nil)
	return report, err
}

// VerifyExportFrom is VerifyExport for a caller who has pinned a signed checkpoint as well:
// verified an export up to it once, and kept it. The export holds the whole log, or begins
// with the first record after the checkpoint. In both cases the records before the
// checkpoint are those that it was signed over, so that a log which was rewritten or cut back
// to before it does not verify. A nil checkpoint pins nothing, as in VerifyExport.
//
// It returns the last checkpoint of the export, to be pinned in place of the one given.
//
// Errors are those of VerifyExport: a Gap where records between the checkpoint and the
// export are missing, Truncated where the export ends before the checkpoint, Fork where the
// checkpoint is over other records. A checkpoint that vkey's key did not sign is
// ErrSignature or ErrCheckpoint.
func VerifyExportFrom(r io.Reader, vkey string, checkpoint []byte) (Report, []byte, error) {
	verifier, err := newVerifier(vkey)
	if err != nil {
		return Report{}, nil, err
	}
	v := &verification{lines: newLines(r), verifier: verifier}
	if checkpoint != nil {
		pinned, err := openCheckpoint(checkpoint, verifier)
		if err != nil {
			return Report{}, nil, err
		}
		v.pinned = &pinned
	}
	if err := v.run(vkey); err != nil {
		return Report{}, nil, err
	}
	return v.check.report(), v.check.last, nil
}

// verification reads the lines of an export and gives each to the checker.
type verification struct {
	lines    *lines
	verifier *verifier
	pinned   *Checkpoint // nil if the caller has none
	check    *checker
}

func (v *verification) run(vkey string) error {
	if err := v.begin(vkey); err != nil {
		return err
	}
	for {
		line, err := v.next()
		if errors.Is(err, io.EOF) {
			return v.check.end()
		}
		if err != nil {
			return err
		}
		if bytes.HasPrefix(line, []byte(checkpointHead)) {
			err = v.check.checkpoint(line)
		} else {
			err = v.check.record(line)
		}
		if err != nil {
			return v.explain(err)
		}
	}
}

// begin reads the header and the frontier.
func (v *verification) begin(vkey string) error {
	v.check = newChecker(header{}, 0, v.verifier)
	line, err := v.next()
	if errors.Is(err, io.EOF) {
		return v.check.fault(Truncated, 0, errors.New("there is no header"))
	}
	if err != nil {
		return err
	}
	h, id, err := parseHeader(line)
	if err != nil {
		return v.check.fault(Malformed, 0, err)
	}
	if h.LogKey != vkey {
		return v.check.fault(WrongKey, 0, v.otherKey(h.LogKey))
	}
	v.check = newChecker(h, id, v.verifier)
	v.check.line, v.check.pinned = 1, v.pinned
	if err := v.check.begin(h); err != nil {
		return err
	}
	if err := v.check.start(); err != nil || h.First == 0 {
		return err
	}
	line, err = v.next()
	if errors.Is(err, io.EOF) {
		return v.check.fault(Truncated, h.First, errors.New("there is no frontier"))
	}
	if err != nil {
		return err
	}
	frontier, err := parseFrontierLine(line)
	if err != nil {
		return v.check.fault(Malformed, h.First, err)
	}
	return v.check.resume(frontier)
}

// otherKey says how a log key differs from the pinned one.
func (v *verification) otherKey(vkey string) error {
	if other, err := newVerifier(vkey); err == nil && other.suite != v.verifier.suite {
		return fmt.Errorf("the export names a log key of %s, and the pinned one is of %s", other.suite.Signature(), v.verifier.suite.Signature())
	}
	return errors.New("the export names another log key than the pinned one")
}

// next returns a line, io.EOF, a *Fault or an error of the reader.
func (v *verification) next() ([]byte, error) {
	line, err := v.lines.next()
	v.check.line = v.lines.n
	switch {
	case err == nil, err == io.EOF:
		return line, err
	case errors.Is(err, errLong):
		return nil, v.check.fault(Malformed, v.check.state.Size, err)
	case errors.Is(err, errCut):
		return nil, v.check.fault(Truncated, v.check.state.Size, err)
	}
	return nil, fmt.Errorf("audit: reading the export: %w", err)
}

// explain tells a record that is missing from one that comes later: it looks for it
// in the rest of the export.
func (v *verification) explain(err error) error {
	var f *Fault
	if !errors.As(err, &f) || f.Kind != Gap {
		return err
	}
	for {
		line, readErr := v.lines.next()
		if readErr != nil {
			return f
		}
		_, leaf, splitErr := splitRecordLine(line)
		if splitErr != nil {
			continue
		}
		if r, parseErr := ParseRecord(leaf); parseErr == nil && r.Seq == f.Seq {
			f.Kind = Reordered
			return f
		}
	}
}
