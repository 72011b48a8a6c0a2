package stream

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"strongroom.example/internal/suite"
)

var update = flag.Bool("update", false, "write the golden streams anew")

type testKey struct{ secret []byte }

func (k testKey) Ciphertext() []byte             { return []byte("ciphertext of the data key") }
func (k testKey) Use(f func([]byte) error) error { return f(k.secret) }

var key = testKey{bytes.Repeat([]byte{7}, 32)}

func open([]byte) (DataKey, error) { return key, nil }

func seal(t testing.TB, s Suite, log2 uint8, plaintext []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := newWriter(&out, s, key, log2)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plaintext); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unseal(file []byte, log2 uint8) ([]byte, error) {
	r, err := newReader(bytes.NewReader(file), open, log2)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// mustRefuse checks that reading file fails with ErrStream, and that the output before the
// error is a prefix of plaintext.
func mustRefuse(t *testing.T, what string, file, plaintext []byte, log2 uint8) {
	t.Helper()
	got, err := unseal(file, log2)
	if !errors.Is(err, ErrStream) {
		t.Fatalf("%s: %v, want ErrStream", what, err)
	}
	if !bytes.HasPrefix(plaintext, got) {
		t.Fatalf("%s: released bytes that are not the plaintext's", what)
	}
}

func needSM(t *testing.T) {
	t.Helper()
	if !suite.SM.Usable() {
		t.Skip("this process enforces FIPS 140, which refuses the SM algorithms")
	}
}

// TestUnusableSuite: if FIPS 140 is enforced, reading or writing a stream in SM4-GCM
// returns an error and does not panic.
func TestUnusableSuite(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("testdata", "suite2-100.stream"))
	if err != nil {
		t.Fatal(err)
	}
	want := error(nil)
	if !suite.SM.Usable() {
		want = ErrInvalid
	}
	if _, err := unseal(file, segmentLog2); !errors.Is(err, want) {
		t.Errorf("reading: %v, want %v", err, want)
	}
	if _, err := NewWriter(io.Discard, SM4GCM, key); !errors.Is(err, want) {
		t.Errorf("writing: %v, want %v", err, want)
	}
}

func eachSuite(t *testing.T, f func(*testing.T, Suite)) {
	t.Run("AES256GCM", func(t *testing.T) { f(t, AES256GCM) })
	t.Run("AES128GCM", func(t *testing.T) { f(t, AES128GCM) })
	t.Run("SM4GCM", func(t *testing.T) {
		needSM(t)
		f(t, SM4GCM)
	})
}

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i * 7 >> 3)
	}
	return p
}

func TestRoundTrip(t *testing.T) {
	const full = 1 << segmentLog2
	eachSuite(t, func(t *testing.T, s Suite) {
		for _, n := range []int{0, 1, full - 1, full, full + 1, 2 * full, 3*full + 5} {
			got, err := unseal(seal(t, s, segmentLog2, pattern(n)), segmentLog2)
			if err != nil || !bytes.Equal(got, pattern(n)) {
				t.Errorf("a stream of %d bytes: %v", n, err)
			}
		}
	})
}

const small = 4 // log2 of 16-byte segments, so that every byte can be tried

func TestEveryBitFlipAndTruncation(t *testing.T) {
	plaintext := pattern(40)
	eachSuite(t, func(t *testing.T, s Suite) {
		file := seal(t, s, small, plaintext)
		for bit := range len(file) * 8 {
			bad := bytes.Clone(file)
			bad[bit/8] ^= 1 << (bit % 8)
			mustRefuse(t, fmt.Sprint("flip of bit ", bit), bad, plaintext, small)
		}
		for n := range file {
			mustRefuse(t, fmt.Sprint("cut to ", n), file[:n], plaintext, small)
		}
	})
}

func TestFullSizeFlipsAndTruncations(t *testing.T) {
	plaintext := pattern(2<<segmentLog2 + 100)
	eachSuite(t, func(t *testing.T, s Suite) {
		file := seal(t, s, segmentLog2, plaintext)
		for at := 0; at < len(file); at += 1999 {
			bad := bytes.Clone(file)
			bad[at] ^= 0x10
			mustRefuse(t, fmt.Sprint("flip at ", at), bad, plaintext, segmentLog2)
			mustRefuse(t, fmt.Sprint("cut to ", at), file[:at], plaintext, segmentLog2)
		}
	})
}

func TestRearranged(t *testing.T) {
	plaintext := pattern(48)
	const sealed = 1<<small + 28
	eachSuite(t, func(t *testing.T, s Suite) {
		a, b := seal(t, s, small, plaintext), seal(t, s, small, plaintext)
		head := len(a) - 3*sealed
		cut := func(f []byte, i int) []byte { return f[head+i*sealed : head+(i+1)*sealed] }
		join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
		for what, file := range map[string][]byte{
			"swapped":          join(a[:head], cut(a, 1), cut(a, 0), cut(a, 2)),
			"dropped":          join(a[:head], cut(a, 0), cut(a, 2)),
			"repeated":         join(a[:head], cut(a, 0), cut(a, 0), cut(a, 1), cut(a, 2)),
			"no final":         join(a[:head], cut(a, 0), cut(a, 1)),
			"header only":      a[:head],
			"spliced":          join(a[:head], cut(a, 0), cut(b, 1), cut(a, 2)),
			"another's header": join(b[:head], a[head:]),
			"concatenated":     join(a, b),
			"extended":         join(a, []byte{0}),
		} {
			mustRefuse(t, what, file, plaintext, small)
		}
	})
}

func TestWrongKey(t *testing.T) {
	file := seal(t, AES256GCM, segmentLog2, pattern(10))
	other := func([]byte) (DataKey, error) { return testKey{make([]byte, 32)}, nil }
	r, err := NewReader(bytes.NewReader(file), other)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); !errors.Is(err, ErrStream) || len(got) != 0 {
		t.Errorf("another key: %d bytes, %v", len(got), err)
	}
}

func TestMisuse(t *testing.T) {
	if _, err := NewWriter(io.Discard, 9, key); !errors.Is(err, ErrInvalid) {
		t.Errorf("NewWriter with an unknown suite: %v, want ErrInvalid", err)
	}
	if _, err := NewWriter(io.Discard, AES256GCM, testKey{make([]byte, 16)}); !errors.Is(err, ErrInvalid) {
		t.Errorf("NewWriter with a short key: %v, want ErrInvalid", err)
	}
	if _, err := NewWriter(io.Discard, AES256GCM, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("no key to write with: %v", err)
	}
	none := func([]byte) (DataKey, error) { return nil, nil }
	if _, err := NewReader(bytes.NewReader(seal(t, AES256GCM, segmentLog2, nil)), none); !errors.Is(err, ErrInvalid) {
		t.Errorf("no key to read with: %v", err)
	}
	w, err := NewWriter(io.Discard, AES256GCM, key)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	}
	if _, err := w.Write([]byte{1}); !errors.Is(err, ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
}

// TestGolden opens stored streams, which must open with every later version of the package.
func TestGolden(t *testing.T) {
	eachSuite(t, func(t *testing.T, s Suite) {
		for _, n := range []int{0, 100} {
			name := filepath.Join("testdata", fmt.Sprintf("suite%d-%d.stream", s, n))
			if _, err := os.Stat(name); *update && errors.Is(err, os.ErrNotExist) {
				if err := os.WriteFile(name, seal(t, s, segmentLog2, pattern(n)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			file, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := unseal(file, segmentLog2); err != nil || !bytes.Equal(got, pattern(n)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add(seal(f, AES256GCM, small, pattern(40)))
	f.Add(seal(f, AES128GCM, small, pattern(40)))
	if suite.SM.Usable() {
		f.Add(seal(f, SM4GCM, small, nil))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if got, err := unseal(file, small); err != nil && !errors.Is(err, ErrStream) {
			t.Errorf("%d bytes and then %v", len(got), err)
		}
	})
}
