package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

// TestStoppable copies through both wrappers, also more than one call holds.
func TestStoppable(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcde"), 50_000)
	var out bytes.Buffer
	in := stoppableReader(t.Context(), iotest.DataErrReader(bytes.NewReader(want)))
	if _, err := io.Copy(stoppableWriter(t.Context(), &out), in); err != nil || !bytes.Equal(out.Bytes(), want) {
		t.Errorf("a copy of %d bytes gives %d, %v", len(want), out.Len(), err)
	}
	if n, err := stoppableWriter(t.Context(), &out).Write(want); n != len(want) || err != nil {
		t.Errorf("Write of %d bytes: %d, %v", len(want), n, err)
	}
}

// TestStoppableEnds checks that a blocked read and a blocked write end with the context.
func TestStoppableEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blocked, other := io.Pipe()
		defer blocked.Close()
		defer other.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := stoppableReader(ctx, blocked).Read(make([]byte, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Read: %v", err)
		}
		other.Close() // ends the call that is left behind
		blocked, other = io.Pipe()
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := stoppableWriter(ctx, other).Write([]byte("x")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Write: %v", err)
		}
		blocked.Close()
	})
}

func TestCell(t *testing.T) {
	for value, want := range map[any]string{
		"": "-", "text": "text", "\x1b[31mred": `"\x1b[31mred"`, "a\nb": `"a\nb"`, 7: "7", true: "yes",
		time.Time{}: "-", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC): "2026-01-02 03:04:05Z", "grün…": "grün…",
	} {
		if got := cell(value); got != want {
			t.Errorf("cell(%q) = %s, want %s", value, got, want)
		}
	}
}
