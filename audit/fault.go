package audit

import "fmt"

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
