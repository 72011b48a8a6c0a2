package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"strongroom.example/internal/testing/redacttest"
)

// TestReadAfterClose: a closed reader never returns io.EOF, because bytes that were not
// read are not the end of the file.
func TestReadAfterClose(t *testing.T) {
	file := seal(t, AES256GCM, small, pattern(40))
	for _, n := range []int{0, 1, 16, 35, 40, 41} {
		r, err := newReader(bytes.NewReader(file), open, small)
		if err != nil {
			t.Fatal(err)
		}
		io.ReadFull(r, make([]byte, n))
		for range 2 {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if rest, err := io.ReadAll(r); !errors.Is(err, ErrClosed) || len(rest) != 0 {
			t.Errorf("after %d bytes: %d more, %v", n, len(rest), err)
		}
	}
}

// TestChangedSuite: with a data key that is long enough for one suite only, a changed suite
// byte gives the same error as any other fault.
func TestChangedSuite(t *testing.T) {
	needSM(t)
	short := testKey{key.secret[:16]}
	var file bytes.Buffer
	w, err := NewWriter(&file, SM4GCM, short)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file.Bytes()[suiteAt] = byte(AES256GCM)
	if _, err := NewReader(&file, func([]byte) (DataKey, error) { return short, nil }); !errors.Is(err, ErrStream) {
		t.Error(err)
	}
}

// cut is a reader that ends with a given error.
type cut struct {
	io.Reader
	err error
}

func (c cut) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err == io.EOF {
		err = c.err
	}
	return n, err
}

// TestErrorsOfTheReader: an error of the underlying reader is returned unchanged, even if
// it wraps io.EOF.
func TestErrorsOfTheReader(t *testing.T) {
	file := seal(t, AES256GCM, small, pattern(40))
	for _, n := range []int{0, 3, fixedSize, fixedSize + 5, len(file) - 60, len(file) - 5, len(file)} {
		for _, cause := range []error{io.EOF, io.ErrUnexpectedEOF} {
			lost := fmt.Errorf("connection lost: %w", cause)
			r, err := newReader(cut{bytes.NewReader(file[:n]), lost}, open, small)
			if err == nil {
				_, err = io.ReadAll(r)
			}
			if !errors.Is(err, lost) {
				t.Errorf("Read of a file cut after %d bytes: %v, want the reader's error", n, err)
			}
		}
	}
}

func TestNothingPrintsPlaintext(t *testing.T) {
	plain := []byte("nobody may see this plaintext")
	w, err := NewWriter(io.Discard, AES256GCM, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	redacttest.Silent(t, w, plain)
	r, err := NewReader(bytes.NewReader(seal(t, AES256GCM, segmentLog2, plain)), open)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	redacttest.Silent(t, r, plain)
}
