package keystore

import (
	"strongroom.example/internal/selftest"
	"strongroom.example/keystore/internal/fault"
)

// The sentinel errors of the package, for errors.Is.
var (
	// ErrNoStore: the directory holds no complete store. The text names the missing part.
	ErrNoStore = fault.ErrNoStore
	// ErrExists: Create found a store, or part of one.
	ErrExists = fault.ErrExists
	// ErrInUse: this or another process holds the store's lock.
	ErrInUse = fault.ErrInUse
	// ErrUnlock: the given root does not open the root file.
	ErrUnlock = fault.ErrUnlock
	// ErrSelfTest: a cryptographic primitive of this process computes wrong results;
	// the text names it. Nothing was changed.
	ErrSelfTest = selftest.ErrFailed
	// ErrCorrupt: stored bytes are not those that were written. The text names the
	// record.
	ErrCorrupt = fault.ErrCorrupt
	// ErrRolledBack: the store is older than the state recorded in its tip file.
	ErrRolledBack = fault.ErrRolledBack
	// ErrFull: too little free disk space. A commit changed nothing. After a Close, the
	// only valid call is another Close.
	ErrFull = fault.ErrFull
	// ErrNotFound: there is no such record.
	ErrNotFound = fault.ErrNotFound
	// ErrCut: the audit record was removed by CutLog. The text names the first record that
	// is kept.
	ErrCut = fault.ErrCut
	// ErrLost: the audit record was lost before a Repair. The text names all records of the
	// range.
	ErrLost = fault.ErrLost
	// ErrConflict: an expectation of a batch does not hold. Nothing was changed.
	ErrConflict = fault.ErrConflict
	// ErrTooLarge: a value or a batch exceeds its limit. Nothing was changed.
	ErrTooLarge = fault.ErrTooLarge
	// ErrClosed: the store or the engine is closed.
	ErrClosed = fault.ErrClosed
	// ErrUnfinished: a change of epoch or of the root file is durable, but the past key or
	// the replaced root file is not yet destroyed. FinishEpoch, the next change of epoch or
	// the next Open does that; a replaced root file is destroyed before the next batch.
	ErrUnfinished = fault.ErrUnfinished
	// ErrDirectory: the system, or a rule of this package, does not let the store use its
	// directory: permissions, owners, a read-only mount, a file system without locks, a
	// limit of the process. The text names the path and the remedy.
	ErrDirectory = fault.ErrDirectory
	// ErrReplaced: the directory or a file in it was moved, replaced or removed while the
	// store was open. The store failed closed: it acknowledges no further commit and
	// accesses nothing by its path. The text names the file.
	ErrReplaced = fault.ErrReplaced
	// ErrUnavailable: the store failed closed; open it again.
	ErrUnavailable = fault.ErrUnavailable
)
