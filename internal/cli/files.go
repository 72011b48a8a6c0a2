package cli

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"strongroom.example/internal/cli/terminal"
	"strongroom.example/internal/suite"
)

// readInput reads a file, or the standard input for an empty path or "-", of at most limit
// bytes. The caller wipes it.
func (a *app) readInput(ctx context.Context, path string, limit int) ([]byte, error) {
	in := stoppableReader(ctx, a.stdin)
	if path == "" || path == "-" {
		a.noticeTerminal()
	} else {
		f, err := os.Open(path)
		if err != nil {
			return nil, notThere(err)
		}
		defer f.Close()
		in = f
	}
	b := suite.NewSecret(limit + 1)
	n, err := io.ReadFull(in, b)
	if err == nil {
		err = usage("the input is longer than %d bytes", limit)
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return b[:n], nil
	}
	suite.Wipe(b)
	return nil, err
}

// noticeTerminal says what a command waits for, if a person is to type its input.
func (a *app) noticeTerminal() {
	if terminal.Is(a.stdin) && !a.quiet {
		fmt.Fprintln(a.stderr, "strongroom: type the input, and end it by Enter and Ctrl-D; the Enter is a part of it")
	}
}

// notThere turns the error of a path that the user gave into a usageError if there is
// nothing.
func notThere(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &usageError{err}
	}
	return err
}

// writeOutput writes bytes to the standard output, or to a new file. It does not write
// binary data to a terminal.
func (a *app) writeOutput(ctx context.Context, path string, b []byte, binary bool) error {
	if path != "" && path != "-" {
		return writeNew(path, b)
	}
	if err := a.checkOutput(path, binary); err != nil {
		return err
	}
	_, err := stoppableWriter(ctx, a.stdout).Write(b)
	return err
}

// checkOutput refuses what writeOutput cannot write, before a secret or the input is asked
// for.
func (a *app) checkOutput(path string, binary bool) error {
	if binary && (path == "" || path == "-") && terminal.Is(a.stdout) {
		return usage("the output is binary: use --base64, --out FILE, or send it to a file or pipe")
	}
	return nil
}

// writeNew writes a new file that only its owner can read. An existing file is an error.
func writeNew(path string, parts ...[]byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return usage("%s exists already", path)
	}
	if err != nil {
		return err
	}
	for _, b := range parts {
		if err == nil {
			_, err = f.Write(b)
		}
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// joinWrite writes a new file also if err is set, because what it holds cannot be had again.
func joinWrite(err error, path string, parts ...[]byte) error {
	return errors.Join(err, writeNew(path, parts...))
}

// encode returns b, or its base64 with a newline.
func encode(b []byte, asText bool) []byte {
	if !asText {
		return b
	}
	return append(base64.StdEncoding.AppendEncode(nil, b), '\n')
}

// decode is the inverse of encode.
func decode(b []byte, asText bool) ([]byte, error) {
	if !asText {
		return b, nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(b)))
	n, err := base64.StdEncoding.Decode(out, b) // skips newlines
	if err != nil {
		return nil, usage("the input is no base64")
	}
	return out[:n], nil
}
