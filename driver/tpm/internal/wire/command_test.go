package wire

import (
	"testing"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/lockedmem"
)

// FuzzResponse parses responses as a device that is not a TPM may send them.
func FuzzResponse(f *testing.F) {
	f.Add([]byte{0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0}, false)
	f.Add([]byte{0x80, 2, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, true)
	// More parameters than a 32-bit int can count.
	f.Add([]byte{0x80, 2, 0, 0, 0, 19, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 1, 0, 0}, true)
	arena := lockedmem.New(0)
	f.Cleanup(func() { arena.Close() })
	key, err := arena.Alloc(sessionEnd)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in []byte, inSession bool) {
		c := Command{Code: tpm2.TPMCCUnseal, EncryptOut: true}
		if inSession {
			c.Session = &Session{key: key}
		}
		if _, err := c.Parse(in); err == nil && inSession {
			t.Error("Parse accepted a response that was made without the session's key")
		}
	})
}
