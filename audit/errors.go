package audit

import (
	"errors"
	"fmt"
)

// The errors of this package, as targets for errors.Is.
var (
	// ErrRecord: the bytes are not a record as Append writes it.
	ErrRecord = errors.New("audit: not a canonical record")
	// ErrRange: an index or a size lies outside the tree.
	ErrRange = errors.New("audit: outside the tree")
	// ErrProof: a proof does not lead to the root.
	ErrProof = errors.New("audit: proof does not verify")
	// ErrKey: a log key or verifier key is not usable.
	ErrKey = errors.New("audit: log key is not usable")
	// ErrCheckpoint: the text is not a checkpoint of this log.
	ErrCheckpoint = errors.New("audit: not a checkpoint of this log")
	// ErrReceipt: the text is not a receipt of this log.
	ErrReceipt = errors.New("audit: not a receipt of this log")
	// ErrCut: the text is not a cut of this log.
	ErrCut = errors.New("audit: not a cut of this log")
	// ErrSignature: a checkpoint, receipt or cut has no valid signature by the log key.
	ErrSignature = errors.New("audit: not signed by the log key")
	// ErrFault: an export does not verify; the error is a *Fault.
	ErrFault = errors.New("audit: export does not verify")
)

// A FaultKind classifies a fault of an export.
type FaultKind string

// The kinds of fault.
const (
	// Flipped: a record's bytes do not match the hash in its line.
	Flipped FaultKind = "flipped"
	// Gap: a record, or a checkpoint that the header counts, is missing.
	Gap FaultKind = "gap"
	// Reordered: records or checkpoints are out of order.
	Reordered FaultKind = "reordered"
	// Duplicate: a record or checkpoint occurs twice.
	Duplicate FaultKind = "duplicate"
	// Truncated: the export ends before a checkpoint that covers all of it.
	Truncated FaultKind = "truncated"
	// Fork: a signed checkpoint does not match the records. Any record from Seq up to
	// that checkpoint may be the wrong one.
	Fork FaultKind = "fork"
	// BadSignature: a checkpoint's signature is not valid.
	BadSignature FaultKind = "signature"
	// Malformed: a line does not have the format of an export.
	Malformed FaultKind = "malformed"
	// WrongKey: the export or a checkpoint names a key other than the pinned one.
	WrongKey FaultKind = "wrong-key"
)

// A Fault describes the first bad record of an export.
type Fault struct {
	// Seq is the first bad record. If a checkpoint is at fault, it is the first record
	// that no good checkpoint covers. If the header is at fault, it is 0.
	Seq  uint64
	Kind FaultKind
	// Line is the line of the export at which the fault was found, from 1.
	Line uint64
	// Err has more details, or is nil.
	Err error
}

// Error returns a text with the record, the kind and the line.
func (f *Fault) Error() string {
	s := fmt.Sprintf("audit: export: record %d: %s (line %d)", f.Seq, f.Kind, f.Line)
	if f.Err != nil {
		s += ": " + f.Err.Error()
	}
	return s
}

// Is reports whether target is ErrFault.
func (f *Fault) Is(target error) bool { return target == ErrFault }

// Unwrap returns Err.
func (f *Fault) Unwrap() error { return f.Err }
