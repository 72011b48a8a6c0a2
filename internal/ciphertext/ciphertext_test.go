package ciphertext

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom.example/internal/suite"
)

var suites = slices.DeleteFunc([]suite.ID{suite.AES, suite.SM}, func(id suite.ID) bool { return !id.Usable() })

func sample(id suite.ID) (h Header, context, root []byte) {
	h = Header{Suite: id, KeyID: [16]byte{1, 2}, Version: 1, Salt: [32]byte{3}}
	context, _ = CanonicalContext(map[string]string{"tenant": "7"})
	return h, context, bytes.Repeat([]byte{0x5A}, RootSize)
}

func mustSeal(t *testing.T, id suite.ID, plaintext []byte) (ct, context, root []byte) {
	t.Helper()
	h, context, root := sample(id)
	ct, err := Seal(h, context, root, plaintext)
	if err != nil {
		t.Fatal(err)
	}
	return ct, context, root
}

// refuses checks that Open returns ErrOpen and no output.
func refuses(t *testing.T, what string, ct, context, root []byte) {
	t.Helper()
	if got, err := Open(nil, ct, context, root); err != ErrOpen || got != nil {
		t.Fatalf("%s: %d bytes, %v", what, len(got), err)
	}
}

func TestSizes(t *testing.T) {
	for _, id := range suites {
		for _, n := range []int{0, 1, 4095, 4096} {
			text := bytes.Repeat([]byte{7}, n)
			ct, context, root := mustSeal(t, id, text)
			if len(ct) != n+Overhead {
				t.Errorf("%v: %d bytes from %d", id, len(ct), n)
			}
			got, err := Open([]byte("dst"), ct, context, root)
			if err != nil || string(got) != "dst"+string(text) {
				t.Errorf("%v, %d bytes: %v", id, n, err)
			}
		}
		h, context, root := sample(id)
		if _, err := Seal(h, context, root, make([]byte, 4097)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v: 4097 bytes: %v", id, err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	h, context, root := sample(suite.AES)
	noVersion, noSuite := h, h
	noVersion.Version, noSuite.Suite = 0, 9
	for _, bad := range []Header{noVersion, noSuite, {}} {
		if _, err := Seal(bad, context, root, nil); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", bad.Suite, err)
		}
	}
	if _, err := Seal(h, context, root[:31], nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("short root: %v", err)
	}
}

// TestEveryBitFlipped flips every bit of the header, the commitment, the nonce and the
// tag in both suites, every bit of the body with AES, and one bit of each byte of the
// body with SM, whose cipher is slower.
func TestEveryBitFlipped(t *testing.T) {
	for _, id := range suites {
		ct, context, root := mustSeal(t, id, bytes.Repeat([]byte{0x33}, MaxPlaintext))
		for i := range ct {
			body := i >= HeaderSize+commitSize+12 && i < len(ct)-16
			for bit := range 8 {
				if id == suite.SM && body && bit != i%8 {
					continue
				}
				ct[i] ^= 1 << bit
				refuses(t, "bit flipped", ct, context, root)
				ct[i] ^= 1 << bit
			}
		}
	}
}

func TestTruncatedAndAppended(t *testing.T) {
	for _, id := range suites {
		ct, context, root := mustSeal(t, id, bytes.Repeat([]byte{0x33}, MaxPlaintext-64))
		for n := range ct {
			refuses(t, "truncated", ct[:n], context, root)
		}
		for n := 1; n <= 66; n++ {
			refuses(t, "appended", append(bytes.Clone(ct), make([]byte, n)...), context, root)
		}
	}
}

func TestWrongRootContextVersion(t *testing.T) {
	for _, id := range suites {
		ct, context, root := mustSeal(t, id, []byte("4711"))
		other := bytes.Clone(root)
		other[31] ^= 1
		refuses(t, "wrong root", ct, context, other)
		refuses(t, "short root", ct, context, root[:31])
		refuses(t, "nil root", ct, context, nil)
		empty, _ := CanonicalContext(nil)
		refuses(t, "no context", ct, empty, root)
		refuses(t, "nil context", ct, nil, root)
		ct[25]++
		refuses(t, "wrong version", ct, context, root)
		ct[25]--
		ct[4] ^= 3
		refuses(t, "other suite", ct, context, root)
	}
}

func TestParse(t *testing.T) {
	ct, _, _ := mustSeal(t, suite.AES, nil)
	want, _, _ := sample(suite.AES)
	if h, err := Parse(ct); err != nil || h != want {
		t.Errorf("%+v, %v", h, err)
	}
	for what, change := range map[string]func(b []byte) []byte{
		"short":     func(b []byte) []byte { return b[:Overhead-1] },
		"long":      func(b []byte) []byte { return append(b, make([]byte, MaxPlaintext+1)...) },
		"empty":     func([]byte) []byte { return nil },
		"name":      func(b []byte) []byte { b[0]++; return b },
		"format":    func(b []byte) []byte { b[3]++; return b },
		"suite":     func(b []byte) []byte { b[4] = 3; return b },
		"reserved":  func(b []byte) []byte { b[5] = 1; return b },
		"version 0": func(b []byte) []byte { b[25] = 0; return b },
	} {
		if _, err := Parse(change(bytes.Clone(ct))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestPRFInputFitsOneBlock(t *testing.T) {
	for _, id := range suites {
		h, context, _ := sample(id)
		if n := len(h.PRFInput(context)); n > 64 {
			t.Errorf("%v: %d bytes", id, n)
		}
	}
}

func TestCanonicalContext(t *testing.T) {
	got, err := CanonicalContext(map[string]string{"b": "", "a": "x", "aa": "é"})
	if want := "\x00\x03\x00\x01a\x00\x01x\x00\x02aa\x00\x02é\x00\x01b\x00\x00"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
	for _, pairs := range []map[string]string{nil, {}} {
		if got, err := CanonicalContext(pairs); err != nil || string(got) != "\x00\x00" {
			t.Errorf("%v: %q, %v", pairs, got, err)
		}
	}
	largest := map[string]string{"n": strings.Repeat("v", MaxContext-7)}
	if got, err := CanonicalContext(largest); err != nil || len(got) != MaxContext {
		t.Errorf("largest: %d bytes, %v", len(got), err)
	}
	for _, bad := range []map[string]string{
		{"n": strings.Repeat("v", MaxContext-6)}, {"": "v"}, {"\xff": "v"}, {"n": "\xc3"},
	} {
		if _, err := CanonicalContext(bad); !errors.Is(err, ErrContext) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}
