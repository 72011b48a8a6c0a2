// Package pkcs11 is the driver for PKCS #11 tokens: hardware security modules, smart
// cards, and the software tokens that tests use. Keys are objects in the token that
// it made or took in, sensitive and not extractable, each with one role.
//
// It needs cgo and a Unix. Built otherwise, [Open] answers Unsupported.
//
// # Sessions
//
// A token's sessions die: another library in the process closes them all or
// finalises the module, a network HSM restarts, a card is pulled and put back. The
// driver then opens new ones, logs in, looks its objects up again and repeats the
// call, once. What cannot be repaired is Unavailable, and one call at a time tries
// again.
//
// The module is loaded once in a process and initialised with operating-system
// locking. If someone else initialised it first, the driver never finalises it.
//
// # PIN
//
// The PIN is read from its source for each login and wiped after it. A value that
// the token refused is not tried a second time in the life of the process, and
// nothing is tried when the token says that the next wrong PIN locks it.
//
// # What the token is trusted for
//
// The mechanism list of a token is only a hint. Open tries each ability, against Go's
// cryptography where it can, and [driver.Info] lists what worked. The keys for that are
// session objects; a token that makes none gets keys that last, which are destroyed
// again. Open fails with Unsupported on a token that makes no key of either sort. After each creation what protects the key is read back: that it is private,
// sensitive, not extractable, lasting, of its size and public exponent, and has its
// one role. One that is not what was asked for is destroyed. What only some tokens know
// (the mechanisms that are allowed, that it may not be copied or changed) is asked for
// and not read back.
//
// A key that is found where the driver generates one is taken only if the token reports
// that it generated that key: CKA_LOCAL, CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE, as
// far as the self-test found that the token sets them. NSS sets none of CKA_LOCAL, so that
// on it only an id that nobody can guess keeps a key of somebody else away. A key that is
// opened is found by its id alone; the vault checks that it is the one that was made (see
// [driver.Tracked]).
//
// The driver remembers the handles of keys. Where a token gives a new object the handle
// of one that another process destroyed, and this process then looks at it, a key of
// that handle which is still open would use the new one.
package pkcs11
