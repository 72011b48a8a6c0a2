package ciphertext

import (
	"bytes"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, g := range goldenVectors(f) {
		f.Add(unhex(f, g.Ciphertext))
	}
	f.Fuzz(func(t *testing.T, ct []byte) {
		h, err := Parse(ct)
		if err != nil {
			if h != (Header{}) {
				t.Error("Parse returned a header with an error")
			}
			return
		}
		if !bytes.Equal(h.append(nil), ct[:HeaderSize]) {
			t.Error("Parse accepted a second encoding of the header")
		}
	})
}

// FuzzOpen checks that only the frozen ciphertexts open.
func FuzzOpen(f *testing.F) {
	all := goldenVectors(f)
	for i, g := range all {
		f.Add(i, unhex(f, g.Ciphertext), unhex(f, g.Context))
	}
	f.Fuzz(func(t *testing.T, i int, ct, context []byte) {
		g := all[uint(i)%uint(len(all))]
		got, err := Open(nil, ct, context, unhex(t, g.Root))
		if err == nil && (!bytes.Equal(ct, unhex(t, g.Ciphertext)) || !bytes.Equal(context, unhex(t, g.Context))) {
			t.Errorf("Open accepted a forged ciphertext: %x", ct)
		}
		if err != nil && (err != ErrOpen || got != nil) {
			t.Errorf("%x, %v", got, err)
		}
	})
}

// FuzzCanonicalContext checks that two different contexts never have the same encoding.
func FuzzCanonicalContext(f *testing.F) {
	f.Add("tenant", "7", "a", "b", "tenant", "7", "a", "c")
	f.Add("a", "bc", "", "", "ab", "c", "d", "e")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2, n3, v3, n4, v4 string) {
		x, y := map[string]string{n1: v1, n2: v2}, map[string]string{n3: v3, n4: v4}
		same := len(x) == len(y)
		for name, value := range x {
			other, found := y[name]
			same = same && found && other == value
		}
		p, errP := CanonicalContext(x)
		q, errQ := CanonicalContext(y)
		if errP != nil || errQ != nil {
			return
		}
		if bytes.Equal(p, q) != same || len(p) > MaxContext {
			t.Errorf("%q and %q: %x, %x", x, y, p, q)
		}
	})
}
