// Package pkcs11 is the driver for PKCS #11 tokens: hardware security modules, smart
// cards, and software tokens for tests. Its keys are objects that the token generated or
// imported. They are sensitive, not extractable, and have one role each.
//
// The package needs cgo and a Unix system. Without them, [Open] fails with Unsupported.
//
// # Sessions
//
// A token's sessions can end at any time: another library in the process closes them all
// or finalises the module, a network HSM restarts, or a card is removed. The driver then
// opens new sessions, logs in, looks its objects up again and repeats the call. If the
// repair fails, the call fails with Unavailable, and later calls try the repair again,
// one at a time.
//
// The module is loaded once in a process and initialised with operating-system locking.
// If another library initialised it first, the driver never finalises it.
//
// # PIN
//
// The PIN is read from its source for each login and wiped after it. A PIN that the token
// refused is not tried again in the life of the process, and no login is attempted if the
// token reports that one more wrong PIN locks it.
//
// # What the token is trusted for
//
// A token's mechanism list is only a hint. Open tries each ability, against Go's
// cryptography where possible, and [driver.Info] lists those that work. The keys for
// these trials are session objects or, if the token makes none, persistent objects that
// are destroyed afterwards. Open fails with Unsupported if the token makes no usable key
// of either kind.
//
// After each creation the driver reads the protecting attributes back: the key must be
// private, sensitive, not extractable, persistent, of the requested size and public
// exponent, and have only its one role. Otherwise it is destroyed. Attributes that only
// some tokens know (the allowed mechanisms, and that the key may not be copied or
// modified) are requested but not read back.
//
// If the driver finds a key under the id for which it was to generate one, it accepts
// that key only if the token reports that it generated it: by CKA_LOCAL,
// CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE, as far as the self-test found that the
// token sets them. NSS does not set CKA_LOCAL, so that there only an unpredictable id
// protects against a key that another program placed. An existing key is opened by its id
// alone; the vault checks that it is the key that was made (see [driver.Tracked]).
//
// The driver caches the handles of keys. If another process destroys an object and the
// token assigns its handle to a new object, a key that is still open in this process uses
// the new object once this process has seen it.
package pkcs11
