package terminal

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	width, now := 80, time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	p := &Progress{out: &out, label: "file", total: 10_000_000, now: func() time.Time { return now }, width: func() int { return width }}
	now = now.Add(time.Minute) // while a passphrase is typed
	p.Add(1_000_000)
	if out.Len() > 0 {
		t.Errorf("drawn before there is a rate: %q", out.String())
	}
	now = now.Add(time.Second)
	p.Add(4_000_000)
	line := out.String()
	if !strings.Contains(line, "50%  5.0 MB of 10.0 MB  4.0 MB/s  1s left") || !strings.Contains(line, "[####") || len(line) > 80+len("\r\x1b[K") {
		t.Errorf("half way: %q", line)
	}
	p.Add(1)
	if out.String() != line {
		t.Error("the bar is drawn more often than it should be")
	}
	for width = range 100 {
		if n := len(p.line(time.Second)); n > max(width-len("^C")-1, 0) {
			t.Errorf("a line of %d bytes on a terminal of %d columns has no room for ^C", n, width)
		}
	}
	p.total = 0
	width = 80
	if line := p.line(time.Second); line != "file  5.0 MB  4.0 MB/s" {
		t.Errorf("without a total: %q", line)
	}
	p.End()
	if !strings.HasSuffix(out.String(), "\r\x1b[K") {
		t.Error("the bar stays")
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, "file", 10)
	p.Add(10)
	p.End()
	if out.Len() > 0 {
		t.Errorf("a bar in a file: %q", out.String())
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_500_000: "1.5 MB", 2e18: "2000.0 PB"} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

// TestReadLine checks what a person does while typing a secret.
func TestReadLine(t *testing.T) {
	for typed, want := range map[string]string{
		"secret\r":            "secret",
		"secret\n":            "secret",
		"wrong\x15secret\r":   "secret",
		"secrets\x7f\r":       "secret",
		"grüß\x7f\x08\x08e\r": "ge",
		"\x7f\r":              "",
		"a\x04":               "a",
	} {
		if got, err := readLine(strings.NewReader(typed)); err != nil || string(got) != want {
			t.Errorf("typed %q: %q, %v, want %q", typed, got, err, want)
		}
	}
	for _, typed := range []string{"sec\x03", "no end", strings.Repeat("x", MaxSecret+1) + "\r"} {
		if got, err := readLine(strings.NewReader(typed)); err == nil {
			t.Errorf("typed %.10q: %q, want an error", typed, got)
		}
	}
}
