package keywrap

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
)

// hexBytes is a byte string in the encoding of the vectors.
type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	*h = b
	return err
}

// TestWycheproof runs every case in both directions. The counts are exact, so that a file
// that shrank is detected.
func TestWycheproof(t *testing.T) {
	const file = "aes_kwp_test.json"
	text, err := fs.ReadFile(wycheproof.TestVectors, file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		TestGroups []struct {
			Tests []struct {
				TcID         int
				Key, Msg, CT hexBytes
				Result       string
			}
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var unwrapped, wrapped int
	for _, g := range doc.TestGroups {
		for _, v := range g.Tests {
			unwrapped++
			got, err := Unwrap(nil, v.Key, v.CT)
			if v.Result == "invalid" {
				if !errors.Is(err, ErrUnwrap) || got != nil {
					t.Errorf("case %d: %x, %v", v.TcID, got, err)
				}
				continue
			}
			// The vectors call short material acceptable; this package accepts it.
			if err != nil || !bytes.Equal(got, v.Msg) {
				t.Errorf("case %d: %x, %v", v.TcID, got, err)
			}
			wrapped++
			if got, err := Wrap(nil, v.Key, v.Msg); err != nil || !bytes.Equal(got, v.CT) {
				t.Errorf("case %d: wraps to %x, %v", v.TcID, got, err)
			}
		}
	}
	if unwrapped != 254 || wrapped != 77 {
		t.Errorf("%s: %d unwrapped, %d wrapped", file, unwrapped, wrapped)
	}
}

// TestRFC5649 runs the examples in section 6 of the RFC.
func TestRFC5649(t *testing.T) {
	key, _ := hex.DecodeString("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	for material, want := range map[string]string{
		"c37b7e6492584340bed12207808941155068f738": "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
		"466f7250617369": "afbeb0f07dfbf5419200f2ccb50bb24f",
	} {
		m, _ := hex.DecodeString(material)
		if got, err := Wrap(nil, key, m); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%x, %v", got, err)
		}
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, keySize := range []int{16, 24, 32} {
		key := random(keySize)
		for _, n := range []int{1, 7, 8, 9, 15, 16, 17, 32, 100, 1217, MaxMaterial} {
			material := random(n)
			wrapped, err := Wrap([]byte("dst"), key, material)
			if err != nil || len(wrapped) != 3+WrappedSize(n) || string(wrapped[:3]) != "dst" {
				t.Fatalf("%d bytes: %d, %v", n, len(wrapped), err)
			}
			dst := append(make([]byte, 0, 1+n), 'x')
			got, err := Unwrap(dst, key, wrapped[3:])
			if err != nil || !bytes.Equal(got[1:], material) || &got[0] != &dst[0] {
				t.Errorf("Unwrap in place did not return the %d bytes: %v", n, err)
			}
		}
	}
}

func TestEveryFlip(t *testing.T) {
	key, material := random(32), random(21)
	wrapped, err := Wrap(nil, key, material)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, key, wrapped []byte) {
		t.Helper()
		if got, err := Unwrap([]byte("dst"), key, wrapped); !errors.Is(err, ErrUnwrap) || got != nil {
			t.Errorf("%s: %x, %v", what, got, err)
		}
	}
	for i := range wrapped {
		for bit := range 8 {
			wrapped[i] ^= 1 << bit
			refused("flipped text", key, wrapped)
			wrapped[i] ^= 1 << bit
		}
		refused("cut text", key, wrapped[:i])
	}
	refused("text with more behind it", key, append(bytes.Clone(wrapped), make([]byte, 8)...))
	refused("too long a text", key, make([]byte, WrappedSize(MaxMaterial)+8))
	for i := range key {
		key[i] ^= 1
		refused("other key", key, wrapped)
		key[i] ^= 1
	}
	for _, n := range []int{0, 15, 17, 31, 33, 64} {
		refused("key of a wrong length", make([]byte, n), wrapped)
		if _, err := Wrap(nil, make([]byte, n), material); !errors.Is(err, ErrSize) {
			t.Errorf("wrapped under a key of %d bytes: %v", n, err)
		}
	}
	for _, n := range []int{0, MaxMaterial + 1} {
		if _, err := Wrap(nil, key, make([]byte, n)); !errors.Is(err, ErrSize) {
			t.Errorf("%d bytes wrapped: %v", n, err)
		}
	}
}

// TestForgedInside wraps texts that Wrap never makes: with other constants, lengths and
// padding.
func TestForgedInside(t *testing.T) {
	key := random(32)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	plain := func(head string, rest ...byte) []byte {
		h, _ := hex.DecodeString(head)
		return append(h, rest...)
	}
	for name, c := range map[string]struct {
		work []byte
		ok   bool
	}{
		"nine bytes":              {plain("a65959a600000009", append(random(9), make([]byte, 7)...)...), true},
		"sixteen bytes":           {plain("a65959a600000010", random(16)...), true},
		"other constant":          {plain("a65959a700000010", random(16)...), false},
		"constant of KW":          {plain("a6a6a6a6a6a6a6a6", random(16)...), false},
		"length above":            {plain("a65959a600000011", make([]byte, 16)...), false},
		"length a semiblock less": {plain("a65959a600000008", make([]byte, 16)...), false},
		"length zero":             {plain("a65959a600000000", make([]byte, 16)...), false},
		"length negative":         {plain("a65959a6fffffff9", make([]byte, 16)...), false},
		"length 2^31":             {plain("a65959a680000000", make([]byte, 16)...), false},
		"length 2^31+9":           {plain("a65959a680000009", make([]byte, 16)...), false},
		"padding, first byte":     {plain("a65959a600000009", append(random(9), 1, 0, 0, 0, 0, 0, 0)...), false},
		"padding, last byte":      {plain("a65959a600000009", append(random(9), 0, 0, 0, 0, 0, 0, 128)...), false},
	} {
		mix(block, c.work)
		if got, err := Unwrap(nil, key, c.work); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrUnwrap) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
	}
}

// FuzzUnwrap checks that a text that unwraps is exactly the one that Wrap makes.
func FuzzUnwrap(f *testing.F) {
	key := bytes.Repeat([]byte{7}, 32)
	for _, n := range []int{1, 8, 9, 40} {
		wrapped, err := Wrap(nil, key, make([]byte, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(key, wrapped)
	}
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, key, wrapped []byte) {
		material, err := Unwrap(nil, key, wrapped)
		if err != nil {
			if !errors.Is(err, ErrUnwrap) || material != nil {
				t.Errorf("%x, %v", material, err)
			}
			return
		}
		if again, err := Wrap(nil, key, material); err != nil || !bytes.Equal(again, wrapped) {
			t.Errorf("wraps to another text: %v", err)
		}
	})
}
