package suite

import (
	"bytes"
	"testing"
)

// TestOverlap checks that memory is shared exactly if appending can overwrite it.
func TestOverlap(t *testing.T) {
	b := make([]byte, 10)
	for name, row := range map[string]struct {
		dst, src []byte
		want     bool
	}{
		"itself": {b[:0], b, true}, "inside": {b[:0], b[4:6], true}, "at the end": {b[:9], b[9:], true},
		"before": {b[:5], b[:5], false}, "no room": {b[:0:5], b[5:], false}, "full": {b, b, false},
		"empty": {b[:0], nil, false}, "nil": {nil, b, false}, "another": {make([]byte, 0, 10), b, false},
	} {
		if got := Overlap(row.dst, row.src); got != row.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestInPlace checks that both suites seal and open in place, as cipher.AEAD specifies.
func TestInPlace(t *testing.T) {
	for _, id := range []ID{AES, SM} {
		if !id.Usable() {
			continue
		}
		a, err := id.NewAEAD(make([]byte, id.KeySize()))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 16, 1000} {
			for _, room := range []int{0, Overhead} {
				want := bytes.Repeat([]byte{7}, n)
				plain := append(make([]byte, 0, n+room), want...)
				sealed, err := a.Seal(plain[:0], plain, []byte("aad"))
				if err != nil {
					t.Fatal(err)
				}
				got, err := a.Open(sealed[:0], sealed, []byte("aad"))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%v, %d bytes, room for %d: %d bytes, %v", id, n, room, len(got), err)
				}
			}
		}
		a.Wipe()
	}
}
