package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A Report describes the contents of an export that verified.
type Report struct {
	Origin string
	// Records is the number of records, First and Last are the Seq of the first and the
	// last one. If there are no records, both are the First of the export.
	Records, First, Last uint64
	// Checkpoints is the number of verified checkpoints. The last one covers all records.
	Checkpoints uint64
}

// VerifyExport verifies an export of the whole log with the log's verifier key. The
// caller must have pinned that key: obtained it from the vault once, and stored it
// elsewhere. VerifyExport needs no vault, reads r once and holds at most one line of 1
// MiB. An export without the first records of the log is a Gap at record 0;
// VerifyExportFrom verifies one that begins where an earlier export ended.
//
// Errors:
//   - *Fault, which matches ErrFault: the export is bad. It names the first bad record.
//   - ErrKey: vkey cannot be parsed.
//   - The errors of r, wrapped.
//
// VerifyExport cannot detect missing records after the last signed checkpoint, nor the
// removal of all records after an earlier checkpoint together with a matching header. To
// detect it, compare Report.Last with other evidence, or pin a checkpoint: see
// VerifyExportFrom.
func VerifyExport(r io.Reader, vkey string) (Report, error) {
	report, _, err := VerifyExportFrom(r, vkey, nil)
	return report, err
}

// VerifyExportFrom is VerifyExport with a pinned checkpoint: a signed checkpoint that the
// caller stored after verifying an export up to it. The export contains the whole log, or
// begins with the first record after the checkpoint. In both cases it verifies only if
// the records before the checkpoint are those that were signed, so that a log that was
// rewritten, or truncated to before the checkpoint, is detected. A nil checkpoint pins
// nothing, as in VerifyExport.
//
// It returns the last checkpoint of the export, for the caller to pin in place of the
// given one.
//
// Errors are those of VerifyExport, with these additions:
//   - Gap: records between the checkpoint and the export are missing.
//   - Truncated: the export ends before the checkpoint.
//   - Fork: the checkpoint does not match the records.
//   - ErrSignature, ErrCheckpoint: the given checkpoint is not one that vkey's key
//     signed.
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

// verification reads the lines of an export and passes each to the checker.
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

// begin reads and checks the header and, if there is one, the frontier.
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

// otherKey describes how a log key differs from the pinned one.
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

// explain distinguishes a missing record from one that occurs later: it searches the rest
// of the export for the record.
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
