package transport

import (
	"io"
	"sync"
	"time"
)

// A watchdog closes a connection when a command takes too long. One timer serves
// successive commands, because setting a timer for each command costs more than recording
// the time. A connection to a device file closes only after the present system call; the
// kernel's driver limits how long a command may take there.
type watchdog struct {
	conn  io.Closer
	timer *time.Timer

	mu      sync.Mutex
	due     time.Time // the deadline of the running command; zero if none runs
	set     bool      // the timer runs
	expired bool
}

// watch returns the watchdog of a connection.
func watch(conn io.Closer) *watchdog {
	w := &watchdog{conn: conn}
	w.timer = time.AfterFunc(time.Hour, w.onTimer)
	w.timer.Stop()
	return w
}

// begin starts the time limit of a command. The limit must not be shorter than that of
// the previous command.
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
	return w.expired
}

// onTimer is the function of the timer.
func (w *watchdog) onTimer() {
	w.mu.Lock()
	left := time.Until(w.due)
	switch {
	case w.due.IsZero():
		w.set = false
	case left > 0:
		w.timer.Reset(left)
	default:
		w.expired = true
	}
	expired := w.expired
	w.mu.Unlock()
	if expired {
		w.conn.Close()
	}
}

func (w *watchdog) stop() { w.timer.Stop() }
