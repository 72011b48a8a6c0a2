package tpm

import (
	"io"
	"sync"
	"time"
)

// A watchdog closes a connection when a command takes too long. Its timer goes on from one
// command to the next, since to set one for each costs more than to note the time. A
// connection to a device file ends only with the system call that is under way; how long a
// command may take there is in the hands of the kernel, whose driver has limits of its own.
type watchdog struct {
	conn  io.Closer
	timer *time.Timer

	mu  sync.Mutex
	due time.Time // by when the command that runs must have ended; zero: none runs
	set bool      // the timer runs
	bit bool
}

// watch makes the watchdog of a connection.
func watch(conn io.Closer) *watchdog {
	w := &watchdog{conn: conn}
	w.timer = time.AfterFunc(time.Hour, w.look)
	w.timer.Stop()
	return w
}

// begin gives a command so much time, which is no less than the one before had.
func (w *watchdog) begin(limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = time.Now().Add(limit)
	if !w.set {
		w.set = true
		w.timer.Reset(limit)
	}
}

// end reports whether the command took too long.
func (w *watchdog) end() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = time.Time{}
	return w.bit
}

// look is what the timer does.
func (w *watchdog) look() {
	w.mu.Lock()
	left := time.Until(w.due)
	switch {
	case w.due.IsZero():
		w.set = false
	case left > 0:
		w.timer.Reset(left)
	default:
		w.bit = true
	}
	bite := w.bit
	w.mu.Unlock()
	if bite {
		w.conn.Close()
	}
}

func (w *watchdog) stop() { w.timer.Stop() }
