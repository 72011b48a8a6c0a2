package audit

import "errors"

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
	// ErrSignature: a checkpoint or receipt has no valid signature by the log key.
	ErrSignature = errors.New("audit: not signed by the log key")
	// ErrFault: an export does not verify; the error is a *Fault.
	ErrFault = errors.New("audit: export does not verify")
)
