package audit

import "fmt"

// A FaultKind says what is wrong with an export.
type FaultKind string

// The kinds of fault.
const (
	// Flipped: a record's bytes do not have the hash beside them.
	Flipped FaultKind = "flipped"
	// Gap: a record, or a checkpoint that the header counts, is missing.
	Gap FaultKind = "gap"
	// Reordered: records or checkpoints stand out of order.
	Reordered FaultKind = "reordered"
	// Duplicate: a record or checkpoint stands there twice.
	Duplicate FaultKind = "duplicate"
	// Truncated: the export ends before a checkpoint over all of it.
	Truncated FaultKind = "truncated"
	// Fork: a signed checkpoint belongs to other records than these. Any of the
	// records from Seq up to that checkpoint may be the one.
	Fork FaultKind = "fork"
	// BadSignature: a checkpoint's signature is not valid.
	BadSignature FaultKind = "signature"
	// Malformed: a line is not in the form of an export.
	Malformed FaultKind = "malformed"
	// WrongKey: the export or a checkpoint names another key than the pinned one.
	WrongKey FaultKind = "wrong-key"
)

// A Fault names the first bad record of an export.
type Fault struct {
	// Seq is the first bad record. Where a checkpoint is at fault it is the first
	// record that no good checkpoint covers; where the header is, it is 0.
	Seq  uint64
	Kind FaultKind
	// Line is the line of the export where it was noticed, from 1.
	Line uint64
	// Err is more to read, or nil.
	Err error
}

// Error names record, kind and line.
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
