// Package terminal asks a person for secrets and confirmations, and shows progress.
package terminal

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"unicode/utf8"

	"golang.org/x/term"

	"strongroom.example/internal/suite"
)

// MaxSecret is the length limit of a typed secret in bytes.
const MaxSecret = 1024

var (
	// ErrNoTerminal reports that the process has no terminal.
	ErrNoTerminal = errors.New("there is no terminal to ask at")
	// ErrDiffer reports that a new secret was typed in two different ways.
	ErrDiffer = errors.New("the two inputs differ")
	errLong   = fmt.Errorf("the input is longer than %d bytes", MaxSecret)
)

// Is reports whether f, a file or any other stream, is a terminal.
func Is(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// open returns the terminal of the process, which is there also if the standard streams
// are pipes or files.
func open() (*os.File, error) {
	device := "/dev/tty"
	if runtime.GOOS == "windows" {
		device = "CONIN$"
	}
	tty, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return nil, ErrNoTerminal
	}
	return tty, nil
}

// Present reports whether the process has a terminal.
func Present() bool {
	tty, err := open()
	if err != nil {
		return false
	}
	tty.Close()
	return true
}

// Secret asks for a secret without showing what is typed. The caller wipes it. Errors:
// ErrNoTerminal, and context.Canceled if the person types Ctrl-C.
func Secret(ctx context.Context, prompt string) ([]byte, error) {
	tty, err := open()
	if err != nil {
		return nil, err
	}
	defer tty.Close()
	fmt.Fprintf(tty, "%s: ", prompt)
	state, err := term.MakeRaw(int(tty.Fd()))
	if err != nil {
		return nil, err
	}
	secret, err := readLine(tty)
	err = errors.Join(err, term.Restore(int(tty.Fd()), state))
	fmt.Fprintln(tty)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		suite.Wipe(secret)
		return nil, err
	}
	return secret, nil
}

// NewSecret asks for a secret twice. Errors are those of Secret, and ErrDiffer.
func NewSecret(ctx context.Context, prompt string) ([]byte, error) {
	first, err := Secret(ctx, "New "+prompt)
	if err != nil {
		return nil, err
	}
	second, err := Secret(ctx, "Repeat the "+prompt)
	defer suite.Wipe(second)
	if err == nil && subtle.ConstantTimeCompare(first, second) != 1 {
		err = ErrDiffer
	}
	if err != nil {
		suite.Wipe(first)
		return nil, err
	}
	return first, nil
}

// Show prints a secret on the terminal, and not on the standard streams.
func Show(text string, secret []byte) error {
	tty, err := open()
	if err != nil {
		return err
	}
	defer tty.Close()
	line := append(append(suite.NewSecret(len(secret) + 3)[:0], "  "...), secret...)
	line = append(line, '\n')
	defer suite.Wipe(line)
	if _, err := io.WriteString(tty, text+"\n"); err != nil {
		return err
	}
	_, err = tty.Write(line)
	return err
}

const (
	keyInterrupt = 3
	keyEOF       = 4
	keyClear     = 21
	keyBackspace = 8
	keyDelete    = 127
)

// readLine reads a line from a terminal in raw mode into one array, so that no copy of a
// secret stays behind.
func readLine(tty io.Reader) ([]byte, error) {
	line := suite.NewSecret(MaxSecret)[:0]
	key := suite.NewSecret(1)
	defer suite.Wipe(key)
	for {
		if _, err := io.ReadFull(tty, key); err != nil {
			suite.Wipe(line[:cap(line)])
			return nil, err
		}
		switch key[0] {
		case '\r', '\n', keyEOF:
			return line, nil
		case keyInterrupt:
			suite.Wipe(line[:cap(line)])
			return nil, context.Canceled
		case keyClear:
			suite.Wipe(line)
			line = line[:0]
		case keyBackspace, keyDelete:
			_, n := utf8.DecodeLastRune(line)
			suite.Wipe(line[len(line)-n:])
			line = line[:len(line)-n]
		default:
			if len(line) == MaxSecret {
				suite.Wipe(line)
				return nil, errLong
			}
			line = append(line, key[0])
		}
	}
}
