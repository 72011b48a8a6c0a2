package audit

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A Report describes the contents of an export that verified.
type Report struct {
	Origin string
	// Records is the number of records, First and Last are the Seq of the first and the
	// last one. If there are no records, both are the First of the export.
	Records, First, Last uint64
	// Checkpoints is the number of verified checkpoints. The last one covers all records.
	Checkpoints uint64
	// Size and Root are the size and the root of the tree at the end of the export.
	Size uint64
	Root [32]byte
	// Digest is the hash of all bytes of the export, with the hash of the log's suite:
	// SHA-256 or SM3.
	Digest [32]byte
}

// VerifyExport verifies an export of the whole log with the log's verifier key. The
// caller must have pinned that key: obtained it from the vault once, and stored it
// elsewhere. VerifyExport needs no vault, reads r once and holds at most one line of 1
// MiB. An export without the first records of the log is a Gap at record 0;
// VerifyExportFrom verifies one that begins where an earlier export or a cut ended.
//
// Exports of consecutive parts of a log may follow each other in r. They verify as one
// export if each part begins where the part before it ends.
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
	report, _, err := VerifyExportFrom(r, vkey)
	return report, err
}

// VerifyExportFrom is VerifyExport with pinned checkpoints: signed checkpoints that the
// caller stored after verifying an export up to them, or signed cuts (see Cut), which
// state a size and a root as well. The export contains the whole log, or begins with the
// first record after the smallest of the checkpoints, such as the cut of the records before
// it. In both cases it verifies only if the records before each checkpoint are those that
// were signed, so that a log that was rewritten, or truncated to before a checkpoint, is
// detected. A nil checkpoint pins nothing, as in VerifyExport.
//
// It returns the last checkpoint of the export, for the caller to pin in place of the
// given ones. The cut behind which the export begins remains necessary.
//
// Errors are those of VerifyExport, with these additions:
//   - Gap: records between the smallest checkpoint and the export are missing.
//   - Truncated: the export ends before a checkpoint.
//   - Fork: a checkpoint does not match the records.
//   - ErrSignature, ErrCheckpoint, ErrCut: a given checkpoint or cut is not one that
//     vkey's key signed.
func VerifyExportFrom(r io.Reader, vkey string, checkpoints ...[]byte) (Report, []byte, error) {
	verifier, err := newVerifier(vkey)
	if err != nil {
		return Report{}, nil, err
	}
	digest := verifier.suite.NewHash()
	v := &verification{lines: newLines(io.TeeReader(r, digest)), verifier: verifier}
	for _, text := range checkpoints {
		if text == nil {
			continue
		}
		pinned, err := openPinned(text, verifier)
		if err != nil {
			return Report{}, nil, err
		}
		v.pinned = append(v.pinned, pinned)
	}
	slices.SortFunc(v.pinned, func(a, b Checkpoint) int { return cmp.Compare(a.Size, b.Size) })
	if err := v.run(vkey); err != nil {
		return Report{}, nil, err
	}
	report := v.check.report()
	digest.Sum(report.Digest[:0])
	return report, v.check.last, nil
}

// verification reads the lines of an export and passes each to the checker.
type verification struct {
	lines    *lines
	verifier *verifier
	pinned   []Checkpoint // in the order of their sizes
	check    *checker
}

func (v *verification) run(vkey string) error {
	v.check = newChecker(header{}, 0, v.verifier)
	v.check.pinned = v.pinned
	line, err := v.next()
	if errors.Is(err, io.EOF) {
		return v.check.fault(Truncated, 0, errors.New("there is no header"))
	}
	for ; !errors.Is(err, io.EOF); line, err = v.body() {
		if err != nil {
			return err
		}
		if err := v.begin(line, vkey); err != nil {
			return err
		}
	}
	return v.check.met()
}

// begin reads and checks the header of a part and, if there is one, the frontier.
func (v *verification) begin(line []byte, vkey string) error {
	h, id, err := parseHeader(line)
	if err != nil {
		return v.check.fault(Malformed, v.check.state.Size, err)
	}
	if h.LogKey != vkey {
		return v.check.fault(WrongKey, v.check.state.Size, v.otherKey(h.LogKey))
	}
	former := v.check
	v.check = newChecker(h, id, v.verifier)
	v.check.line, v.check.pinned = v.lines.n, former.pinned
	if err := v.check.begin(h); err != nil {
		return err
	}
	if former.tree.Suite.id().Valid() {
		err = v.check.follow(former)
	} else {
		err = v.check.start()
	}
	if err != nil || h.First == 0 {
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

// body checks the lines of a part behind its header. It returns the header of the next
// part, or io.EOF after the last part.
func (v *verification) body() ([]byte, error) {
	for {
		line, err := v.next()
		if errors.Is(err, io.EOF) || bytes.HasPrefix(line, []byte(headerHead)) {
			return line, cmp.Or(v.check.end(), err)
		}
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(line, []byte(checkpointHead)) {
			err = v.check.checkpoint(line)
		} else {
			err = v.check.record(line)
		}
		if err != nil {
			return nil, v.explain(err)
		}
	}
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
