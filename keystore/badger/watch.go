package badger

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"

	"strongroom.example/keystore"
)

// watch is the logger that Badger is given. It prints nothing, since messages can
// hold values. A warning or an error of Badger's means that a flush, a compaction
// or the MANIFEST failed; the first one is kept, and stops the engine.
type watch struct {
	first   atomic.Pointer[report]
	tripped chan struct{} // closed once first is there
}

// report is the fixed part of a message, and the fault of the system behind it, if any.
type report struct {
	text string
	code syscall.Errno
}

func newWatch() *watch { return &watch{tripped: make(chan struct{})} }

// Errorf and Warningf keep the message's fixed part only.
func (w *watch) Errorf(format string, args ...any)   { w.trip(format, args) }
func (w *watch) Warningf(format string, args ...any) { w.trip(format, args) }

// Infof and Debugf drop the message.
func (w *watch) Infof(string, ...any)  {}
func (w *watch) Debugf(string, ...any) {}

// verb is what stands in a format for a value.
var verb = regexp.MustCompile(`%[-+# 0-9.]*[a-zA-Z]`)

func (w *watch) trip(format string, args []any) {
	if len(args) == 0 {
		format = "an unnamed fault" // the format itself may be data
	}
	r := &report{text: strings.TrimSpace(verb.ReplaceAllString(format, "..."))}
	for _, arg := range args {
		if err, ok := arg.(error); ok {
			errors.As(err, &r.code)
		}
	}
	if w.first.CompareAndSwap(nil, r) {
		close(w.tripped)
	}
}

// err is nil, or ErrUnavailable with what Badger reported first.
func (w *watch) err() error {
	r := w.first.Load()
	switch {
	case r == nil:
		return nil
	case r.code != 0:
		return fmt.Errorf("%w: badger reported %q: %w", keystore.ErrUnavailable, r.text, r.code)
	}
	return fmt.Errorf("%w: badger reported %q", keystore.ErrUnavailable, r.text)
}

// openErr is err for an Open: a fault of the system is the system's, any other one is
// damage.
func (w *watch) openErr(dir string) error {
	r := w.first.Load()
	switch {
	case r == nil:
		return nil
	case r.code != 0:
		return fmt.Errorf("keystore/badger: open %s: badger reported %q: %w", dir, r.text, r.code)
	}
	return fmt.Errorf("%w: while opening %s badger reported %q", keystore.ErrCorrupt, dir, r.text)
}
