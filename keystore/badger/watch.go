package badger

import (
	"fmt"
	"sync/atomic"

	"strongroom.example/keystore"
)

// watch is the logger that Badger is given. It prints nothing, since messages can
// hold values. A warning or an error of Badger's means that a flush, a compaction
// or the MANIFEST failed; the first one is kept, and stops the engine.
type watch struct {
	first   atomic.Pointer[string]
	tripped chan struct{} // closed once first is there
}

func newWatch() *watch { return &watch{tripped: make(chan struct{})} }

// Errorf and Warningf keep the message's fixed part only.
func (w *watch) Errorf(format string, args ...any)   { w.trip(format, args) }
func (w *watch) Warningf(format string, args ...any) { w.trip(format, args) }

// Infof and Debugf drop the message.
func (w *watch) Infof(string, ...any)  {}
func (w *watch) Debugf(string, ...any) {}

func (w *watch) trip(format string, args []any) {
	if len(args) == 0 {
		format = "an unnamed fault" // the format itself may be data
	}
	if w.first.CompareAndSwap(nil, &format) {
		close(w.tripped)
	}
}

// err is nil, or ErrUnavailable with what Badger reported first.
func (w *watch) err() error {
	if s := w.first.Load(); s != nil {
		return fmt.Errorf("%w: badger reported %q", keystore.ErrUnavailable, *s)
	}
	return nil
}
