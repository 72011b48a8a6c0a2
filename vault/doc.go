// Package vault is the public face of Strongroom: an embedded key vault.
//
// Create makes a vault in a directory, Open opens it, and As gives the Client
// through which one principal acts. A CMK never leaves the vault; a program
// encrypts small things with it, and large ones under data keys.
//
// An operation that takes a key takes the CMK's id or its alias.
//
// No result of an operation is released before its audit record is durable. No
// stored byte is believed before it was authenticated. Every error is an *Error
// around one of the sentinels, or a context's own: ask by errors.Is.
//
// A program that links this package writes no core dumps on Unix: memguard, which holds data
// keys at rest, sets RLIMIT_CORE to 0 before main runs, soft and hard, for the process and
// the processes that it starts. Only a process with CAP_SYS_RESOURCE can raise it again.
//
// The comment of a method names the errors that are its own. Every operation of a
// Client may answer, besides: ErrDenied, for a key that is not there as well; ErrNotFound
// where one may ask for it (which is not recorded, as what is wrong in itself is not), ErrKeyState and ErrUsage for one that is not for it;
// ErrThrottled and ErrUnavailable where the device, or ErrAuditUnavailable and
// ErrStorageFull where the disk does not do its part; ErrLockedMemory; ErrCorrupt; and
// ErrClosed. Create and Open first test the cryptography of the edition against known
// answers, and fail with ErrSelfTest where this build computes wrong results. After an error there is no result, and a key is as it was unless the
// method says otherwise.
package vault
