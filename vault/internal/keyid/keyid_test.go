package keyid

import (
	"crypto/rand"
	"testing"
)

func TestKeyID(t *testing.T) {
	for range 100 {
		var random [16]byte
		rand.Read(random[:])
		s := New(random)
		if id, ok := Parse(s); !ok || Format(id) != s || s[14] != '4' {
			t.Fatalf("%q is read as %x, %v", s, id, ok)
		}
	}
	for _, s := range []string{
		"", "invoices", "00000000-0000-4000-8000-00000000000", "00000000-0000-4000-8000-0000000000000",
		"00000000+0000-4000-8000-000000000000", "0000000g-0000-4000-8000-000000000000",
		"ABCDEF00-0000-4000-8000-000000000000", "00000000-0000-4000-8000-00000000-000",
		"-0000000-0000-4000-8000-000000000000",
	} {
		if _, ok := Parse(s); ok {
			t.Errorf("%q is read as an id", s)
		}
	}
}
