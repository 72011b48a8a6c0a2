// Package secretsource reads a short secret, such as a PIN or a passphrase, from the place
// that a program's configuration names.
package secretsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"strongroom.example/internal/suite"
)

// A Source is where a secret is read from. At most one field is set. The type PIN of
// package pkcs11 documents the fields.
type Source struct {
	File       string
	FD         int
	Env        string
	Credential string
	Ask        func(context.Context) ([]byte, error)
}

// Kind is a kind of secret.
type Kind struct {
	Name string // in errors, such as "PIN"
	Max  int    // the length limit in bytes
}

// ErrSource reports a text that names no source.
var ErrSource = errors.New("a secret is read from prompt, file:PATH, fd:NUMBER (above 2) or systemd:NAME")

// Parse parses file:PATH, fd:NUMBER, systemd:NAME or prompt. The source of prompt is ask.
// It does not quote text in an error, because a user may have typed the secret itself.
func Parse(text string, ask func(context.Context) ([]byte, error)) (Source, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch {
	case text == "prompt":
		return Source{Ask: ask}, nil
	case rest == "":
	case kind == "file":
		return Source{File: rest}, nil
	case kind == "systemd":
		return Source{Credential: rest}, nil
	case kind == "fd":
		if fd, err := strconv.Atoi(rest); err == nil && fd > 2 {
			return Source{FD: fd}, nil
		}
	}
	return Source{}, ErrSource
}

// ParseUnattended is Parse for a process without a person, which a prompt would leave waiting,
// and checks the source. Errors: those of Parse and Check; ErrSource for a prompt.
func ParseUnattended(text string, k Kind) (Source, error) {
	s, err := Parse(text, nil)
	if err == nil && s.Sources() == 0 {
		err = ErrSource
	}
	if err == nil {
		err = s.Check(k)
	}
	return s, err
}

// Sources returns the number of fields that are set.
func (s Source) Sources() int {
	n := 0
	for _, set := range []bool{s.File != "", s.FD != 0, s.Env != "", s.Credential != "", s.Ask != nil} {
		if set {
			n++
		}
	}
	return n
}

// Absolute returns the source with an absolute path, because the file may be read again
// after a change of the working directory.
func (s Source) Absolute() (_ Source, err error) {
	if s.File != "" {
		s.File, err = filepath.Abs(s.File)
	}
	return s, err
}

// Check validates the source.
func (s Source) Check(k Kind) error {
	switch {
	case s.Sources() > 1:
		return fmt.Errorf("name one source for the %s, not several", k.Name)
	case s.FD != 0 && s.FD <= 2:
		return fmt.Errorf("a %s is not read from the standard descriptors", k.Name)
	case strings.ContainsAny(s.Credential, `/\`) || s.Credential == "..":
		return errors.New("a credential is a name, not a path")
	}
	return nil
}

// Read returns the secret without the newline at its end. The caller wipes it. It is not
// empty unless there is an error.
func (s Source) Read(ctx context.Context, k Kind) ([]byte, error) {
	secret, err := s.fetch(ctx, k)
	if err == nil && len(secret) > k.Max {
		err = fmt.Errorf("the %s is longer than %d bytes", k.Name, k.Max)
	}
	trimmed := bytes.TrimSuffix(bytes.TrimSuffix(secret, []byte("\n")), []byte("\r"))
	switch {
	case err != nil:
	case len(trimmed) == 0:
		err = fmt.Errorf("the %s is empty", k.Name)
	case s.Env == "" && s.Ask == nil:
		err = checkText(trimmed, k)
	}
	if err != nil {
		suite.Wipe(secret)
		return nil, err
	}
	return trimmed, nil
}

// checkText refuses characters that an editor or a shell adds to a secret in a file,
// because they would make it a wrong one.
func checkText(secret []byte, k Kind) error {
	for _, mark := range []string{"\xef\xbb\xbf", "\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(secret, []byte(mark)) {
			return fmt.Errorf("the %s file begins with a byte order mark: write it without", k.Name)
		}
	}
	if len(bytes.TrimSpace(secret)) != len(secret) {
		return fmt.Errorf("the %s file has white space around the %s: write the %s and at most one newline", k.Name, k.Name, k.Name)
	}
	return nil
}

func (s Source) fetch(ctx context.Context, k Kind) ([]byte, error) {
	switch {
	case s.File != "":
		return readFile(s.File, k, ownGroupOnly)
	case s.FD != 0:
		return readDescriptor(s.FD, k)
	case s.Env != "":
		return []byte(os.Getenv(s.Env)), nil
	case s.Credential != "":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, errors.New("CREDENTIALS_DIRECTORY is not set: the service has no credentials")
		}
		// systemd sets a group bit, so that its access control list can name the
		// service's user.
		return readFile(filepath.Join(dir, s.Credential), k, notOthers)
	}
	return s.Ask(ctx)
}

// readAll reads at most one byte more than the longest secret with its newline, into one
// array that can be wiped.
func readAll(r io.Reader, k Kind) ([]byte, error) {
	buffer := suite.NewSecret(k.Max + 3)
	n, err := io.ReadFull(r, buffer)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		suite.Wipe(buffer)
		return nil, err
	}
	return buffer[:n], nil
}
