package stream

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"testing"
)

// suited is a test key that determines its suite.
type suited struct {
	testKey
	suite Suite
}

func (k suited) StreamSuite() Suite { return k.suite }

// TestKeySuite: a writer takes the suite from its key. A key with no suite, an unknown
// suite, or too few bytes gives an error that says so.
func TestKeySuite(t *testing.T) {
	short := testKey{bytes.Repeat([]byte{7}, 16)}
	eachSuite(t, func(t *testing.T, s Suite) {
		k := suited{key, s}
		if s != AES256GCM {
			k.testKey = short
		}
		var file bytes.Buffer
		w, err := NewWriter(&file, KeySuite, k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(pattern(100)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := Suite(file.Bytes()[suiteAt]); got != s {
			t.Errorf("the stream has suite %d, want %d", got, s)
		}
		r, err := NewReader(&file, func([]byte) (DataKey, error) { return k, nil })
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := r.DataKey().(suited); !ok || got.suite != s {
			t.Errorf("DataKey returns another key than open did")
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, pattern(100)) {
			t.Errorf("Read: %d bytes, error %v", len(got), err)
		}
	})
	for name, k := range map[string]DataKey{"no suite": short, "suite 0": suited{short, 0}, "unknown suite": suited{short, 9}, "too short": suited{short, AES256GCM}} {
		if _, err := NewWriter(io.Discard, KeySuite, k); !errors.Is(err, ErrInvalid) {
			t.Errorf("NewWriter with a key of %s: %v, want ErrInvalid", name, err)
		}
	}
}

// TestFormat2 reads a golden stream of AES128GCM according to docs/formats.md, with the
// standard library alone.
func TestFormat2(t *testing.T) {
	file, err := os.ReadFile("testdata/suite3-100.stream")
	if err != nil {
		t.Fatal(err)
	}
	if string(file[:4]) != "SRS\x02" || file[4] != 3 {
		t.Fatalf("the stream begins with %x", file[:5])
	}
	n := 8 + int(binary.BigEndian.Uint16(file[6:])) + 32
	hash := sha256.Sum256(file[:n])
	mac := hmac.New(sha256.New, bytes.Repeat([]byte{7}, 32))
	mac.Write([]byte("\x00\x00\x00\x01strongroom/stream v2\x00"))
	mac.Write(hash[:])
	mac.Write([]byte{0, 0, 0, 128})
	block, err := aes.NewCipher(mac.Sum(nil)[:16])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	aad := append(hash[:], 0, 0, 0, 0, 0, 0, 0, 0, 1)
	if got, err := gcm.Open(nil, nil, file[n:], aad); err != nil || !bytes.Equal(got, pattern(100)) {
		t.Errorf("opening the segment: %d bytes, error %v", len(got), err)
	}
}

// TestFormatsDoNotMix: a suite of one format number in a stream of the other is rejected.
func TestFormatsDoNotMix(t *testing.T) {
	for s, l := range layouts {
		if !l.id.Usable() {
			continue
		}
		for format := range byte(5) {
			for other := range byte(5) {
				file := seal(t, s, small, pattern(40))
				if file[3], file[4] = format, other; format == l.format && Suite(other) == s {
					continue
				}
				if as, ok := layouts[Suite(other)]; ok && !as.id.Usable() {
					continue // ErrInvalid; see TestUnusableSuite
				}
				mustRefuse(t, "another format or suite", file, pattern(40), small)
			}
		}
	}
}
