package importtoken

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/fault"
)

// testAuthority is that of a vault for tests.
var testAuthority = Authority{Suite: suite.AES, Vault: [16]byte{7}, Key: make([]byte, 32)}

// TestBytes: each bit of a token is authenticated, and every field is decoded as it was
// encoded.
func TestBytes(t *testing.T) {
	in := Token{Key: [16]byte{1, 2}, Serial: driver.MaterialID{3, 4}, Algorithm: 5, Single: true, ValidTo: time.Unix(1<<31, 0).UTC(), Public: [32]byte{6}}
	b := testAuthority.Seal(in)
	if out, err := testAuthority.Open(b); err != nil || out != in || len(b) != Size {
		t.Errorf("Open: %+v, error %v", out, err)
	}
	for i := range 8 * len(b) {
		b[i/8] ^= 1 << (i % 8)
		if _, err := testAuthority.Open(b); !errors.Is(err, fault.ErrImportToken) {
			t.Fatalf("Open with bit %d changed: %v, want ErrImportToken", i, err)
		}
		b[i/8] ^= 1 << (i % 8)
	}
	for n := range b {
		if _, err := testAuthority.Open(b[:n]); !errors.Is(err, fault.ErrImportToken) {
			t.Fatalf("Open of the first %d bytes: %v, want ErrImportToken", n, err)
		}
	}
}

// FuzzOpen: only a token that the authority itself made is accepted.
func FuzzOpen(f *testing.F) {
	good := testAuthority.Seal(Token{Algorithm: 1})
	f.Add(good)
	f.Add([]byte(nil))
	f.Add(append(bytes.Clone(good[:bodySize]), make([]byte, Size-bodySize)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := testAuthority.Open(b); (err == nil) != bytes.Equal(b, good) {
			t.Errorf("Open(%x): %v", b, err)
		}
	})
}
