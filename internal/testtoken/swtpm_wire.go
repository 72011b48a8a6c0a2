package testtoken

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// A Wire stands between a driver and a TPM. It keeps what passes, and fails on
// demand. Its methods are safe for concurrent use.
type Wire struct {
	dial func() (Conn, error)

	mu     sync.Mutex
	faults []fault
	delay  func(command uint32) time.Duration
	keep   bool
	count  int
	log    []Exchange
}

// An Exchange is a command and its response as they were on the wire. Response is
// nil where the connection broke.
type Exchange struct{ Command, Response []byte }

// Code is the command code.
func (e Exchange) Code() uint32 { return responseCode(e.Command) }

// A fault is what happens to one command.
type fault struct {
	command uint32 // 0: any
	after   int    // how many such commands pass first
	answer  uint32 // a response code, or 0 for a broken connection
	execute bool   // the TPM sees the command before the connection breaks
}

// NewWire makes a wire to what dial connects to.
func NewWire(dial func() (Conn, error)) *Wire { return &Wire{dial: dial} }

// Dial connects through the wire.
func (w *Wire) Dial() (Conn, error) {
	c, err := w.dial()
	if err != nil {
		return nil, err
	}
	return &wired{Conn: c, wire: w}, nil
}

// Answer has the wire answer the next commands of a code (0: any) with response
// codes, one each, after skipping some. The TPM does not see them.
func (w *Wire) Answer(command uint32, skip int, codes ...uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, code := range codes {
		w.faults = append(w.faults, fault{command: command, after: skip, answer: code})
	}
}

// Break ends the connection at the next command of a code (0: any), after skipping
// some: before the TPM sees it, or after it has executed it.
func (w *Wire) Break(command uint32, skip int, executed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fault{command: command, after: skip, execute: executed})
}

// Delay makes commands take as long as a chip takes. Nil: no delay.
func (w *Wire) Delay(profile func(command uint32) time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = profile
}

// Record starts to keep every exchange, or stops and forgets them.
func (w *Wire) Record(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep, w.log = on, nil
}

// Log returns the exchanges that were kept.
func (w *Wire) Log() []Exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Exchange(nil), w.log...)
}

// Count returns how many commands have passed or failed.
func (w *Wire) Count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// next takes the fault for a command, if there is one, and tells its delay.
func (w *Wire) next(command uint32) (hit *fault, delay time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.count++
	if w.delay != nil {
		delay = w.delay(command)
	}
	for i := range w.faults {
		f := &w.faults[i]
		if f.command != 0 && f.command != command {
			continue
		}
		if f.after > 0 {
			f.after--
			continue
		}
		taken := *f
		w.faults = append(w.faults[:i:i], w.faults[i+1:]...)
		return &taken, delay
	}
	return nil, delay
}

func (w *Wire) note(command, response []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.keep {
		w.log = append(w.log, Exchange{append([]byte(nil), command...), append([]byte(nil), response...)})
	}
}

// wired is one connection through a wire.
type wired struct {
	Conn
	wire   *Wire
	posted chan exchanged
}

// exchanged is how a command ended that was posted.
type exchanged struct {
	response []byte
	err      error
}

// Post sends a command with all that the wire does to it, and does not wait for that.
func (c *wired) Post(command []byte) error {
	c.posted = make(chan exchanged, 1)
	go func(done chan<- exchanged) {
		rsp, err := c.Send(command)
		done <- exchanged{bytes.Clone(rsp), err} // whoever posted may still read the last one
	}(c.posted)
	return nil
}

// Fetch waits for the response to the command that was posted.
func (c *wired) Fetch() ([]byte, error) {
	e := <-c.posted
	return e.response, e.err
}

func (c *wired) Send(command []byte) ([]byte, error) {
	fault, delay := c.wire.next(responseCode(command))
	time.Sleep(delay)
	if fault == nil {
		rsp, err := c.Conn.Send(command)
		c.wire.note(command, rsp)
		return rsp, err
	}
	if fault.answer != 0 {
		rsp := binary.BigEndian.AppendUint32([]byte{0x80, 1, 0, 0, 0, headerSize}, fault.answer)
		c.wire.note(command, rsp)
		return rsp, nil
	}
	if fault.execute {
		c.Conn.Send(command)
	}
	c.Conn.Close()
	c.wire.note(command, nil)
	return nil, io.ErrUnexpectedEOF
}
