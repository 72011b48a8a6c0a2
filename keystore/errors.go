package keystore

import (
	"errors"

	"strongroom.example/internal/selftest"
)

// The sentinel errors of the package, for errors.Is.
var (
	// ErrNoStore: the directory holds no complete store. The text names what is missing.
	ErrNoStore = errors.New("keystore: no store")
	// ErrExists: Create found a store, or part of one.
	ErrExists = errors.New("keystore: a store exists")
	// ErrInUse: this or another process holds the store's lock.
	ErrInUse = errors.New("keystore: in use")
	// ErrUnlock: the given root does not open the root file.
	ErrUnlock = errors.New("keystore: the root does not unlock this store")
	// ErrSelfTest: a cryptographic primitive of this process computes wrong results;
	// the text names it. Nothing was changed.
	ErrSelfTest = selftest.ErrFailed
	// ErrCorrupt: stored bytes are not those that were written. The text names the
	// record.
	ErrCorrupt = errors.New("keystore: corrupt")
	// ErrRolledBack: the store is older than the state recorded in its tip file.
	ErrRolledBack = errors.New("keystore: rolled back")
	// ErrFull: too little free disk space. A commit changed nothing. After a Close, the
	// only valid call is another Close.
	ErrFull = errors.New("keystore: disk full")
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("keystore: not found")
	// ErrConflict: an expectation of a batch does not hold. Nothing was changed.
	ErrConflict = errors.New("keystore: conflict")
	// ErrTooLarge: a value or a batch exceeds its limit. Nothing was changed.
	ErrTooLarge = errors.New("keystore: too large")
	// ErrClosed: the store or the engine is closed.
	ErrClosed = errors.New("keystore: closed")
	// ErrUnfinished: a change of epoch or of the root file is durable, but the past key or
	// the replaced root file is not yet destroyed. FinishEpoch, the next change of epoch or
	// the next Open does that; a replaced root file is destroyed before the next batch.
	ErrUnfinished = errors.New("keystore: a past material key or root file is not yet destroyed")
	// ErrDirectory: the system, or a rule of this package, does not let the store use its
	// directory: permissions, owners, a read-only mount, a file system without locks, a
	// limit of the process. The text names the path and the remedy.
	ErrDirectory = errors.New("keystore: the directory cannot be used")
	// ErrReplaced: the directory or a file in it was moved, replaced or removed while the
	// store was open. The store failed closed: it acknowledges no further commit and
	// accesses nothing by its path. The text names the file.
	ErrReplaced = errors.New("keystore: moved, replaced or removed while open")
	// ErrUnavailable: the store failed closed; open it again.
	ErrUnavailable = errors.New("keystore: unavailable until reopened")
)
