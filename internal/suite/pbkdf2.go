package suite

import (
	"crypto/pbkdf2"
	"unsafe"
)

// PBKDF2 derives n bytes from a password with HMAC as the PRF (SP 800-132). The
// caller wipes password and result, and gives at least one iteration.
//
// It panics under GODEBUG=fips140=only if the standard library refuses the
// parameters: a salt below 16 bytes, less than 14 bytes of output, or the SM suite.
func (id ID) PBKDF2(password, salt []byte, iterations, n int) []byte {
	// The library wants a string. This one shares the password's bytes for the
	// length of the call, so that no copy is left which nobody could wipe.
	shared := unsafe.String(unsafe.SliceData(password), len(password))
	key, err := pbkdf2.Key(id.NewHash, shared, salt, iterations, n)
	if err != nil {
		panic("suite: PBKDF2 parameters refused: " + err.Error())
	}
	return key
}
