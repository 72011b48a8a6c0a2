package secretsource

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAbsolute: the file is the one that the path named when the source was
// made absolute.
func TestAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"": "", "pin": filepath.Join(here, "pin"), "/run/pin": "/run/pin"} {
		if got, err := (Source{File: file}).Absolute(); err != nil || got.File != want {
			t.Errorf("absolute of the file %q: %q, %v; want %q", file, got.File, err, want)
		}
	}
}

func TestParse(t *testing.T) {
	ask := func(context.Context) ([]byte, error) { return []byte("typed"), nil }
	for text, want := range map[string]Source{
		"file:/run/a:b":  {File: "/run/a:b"},
		"fd:3":           {FD: 3},
		"systemd:vault":  {Credential: "vault"},
		"hunter2":        {},
		"":               {},
		"file:":          {},
		"fd:2":           {},
		"fd:hunter2":     {},
		"env:HUNTER2":    {},
		"prompt:hunter2": {},
	} {
		got, err := Parse(text, ask)
		if got.File != want.File || got.FD != want.FD || got.Credential != want.Credential || (err == nil) != (want.Sources() == 1) {
			t.Errorf("Parse(%q) = %+v, %v", text, got, err)
		}
		if err != nil && (!errors.Is(err, ErrSource) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("Parse(%q) fails with %v", text, err)
		}
	}
	s, err := Parse("prompt", ask)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := s.Read(t.Context(), Kind{Name: "passphrase", Max: 16}); err != nil || string(secret) != "typed" {
		t.Errorf("the source of prompt gives %q, %v", secret, err)
	}
}

// TestParseUnattended: only a source that needs no person is accepted.
func TestParseUnattended(t *testing.T) {
	kind := Kind{Name: "key", Max: 8}
	for text, want := range map[string]error{"file:/key": nil, "systemd:key": nil, "prompt": ErrSource, "": ErrSource, "hunter2": ErrSource} {
		if _, err := ParseUnattended(text, kind); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}
