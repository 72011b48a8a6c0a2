package testtoken

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"
	"time"
)

// A Wire is between a driver and a TPM. It records the exchanges, and fails on demand.
// Its methods are safe for concurrent use.
type Wire struct {
	dial func() (Conn, error)

	mu     sync.Mutex
	faults []fault
	delay  func(command uint32) time.Duration
	held   uint32        // the command that is held
	hold   chan struct{} // closed when held is released; nil if nothing was held
	keep   bool
	count  int
	log    []Exchange
}

// An Exchange is a command and its response as sent on the wire. Response is nil if the
// connection broke.
type Exchange struct{ Command, Response []byte }

// Code is the command code.
func (e Exchange) Code() uint32 { return responseCode(e.Command) }

// A fault is the failure of one command.
type fault struct {
	command uint32 // 0: any
	after   int    // how many such commands pass before it
	answer  uint32 // a response code, or 0 for a broken connection
	execute bool   // the TPM receives the command before the connection breaks
}

// NewWire returns a wire to the TPM that dial reaches.
func NewWire(dial func() (Conn, error)) *Wire { return &Wire{dial: dial} }

// Dial connects through the wire.
func (w *Wire) Dial() (Conn, error) {
	c, err := w.dial()
	if err != nil {
		return nil, err
	}
	return &wired{Conn: c, wire: w}, nil
}

// Answer makes the wire respond to the next commands with a code (0: any) by response
// codes, one each, after skipping some commands. The TPM does not receive these commands.
func (w *Wire) Answer(command uint32, skip int, codes ...uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, code := range codes {
		w.faults = append(w.faults, fault{command: command, after: skip, answer: code})
	}
}

// Break ends the connection at the next command with a code (0: any), after skipping some
// commands: before the TPM receives the command, or after the TPM has executed it.
func (w *Wire) Break(command uint32, skip int, executed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, fault{command: command, after: skip, execute: executed})
}

// Delay delays commands as a chip would. A nil profile removes the delay.
func (w *Wire) Delay(profile func(command uint32) time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = profile
}

// Hold keeps commands with a code from the TPM until release is called.
func (w *Wire) Hold(command uint32) (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hold := make(chan struct{})
	w.held, w.hold = command, hold
	return sync.OnceFunc(func() { close(hold) })
}

// wait returns when a command is not held.
func (w *Wire) wait(command uint32) {
	w.mu.Lock()
	held, hold := w.held, w.hold
	w.mu.Unlock()
	if hold != nil && held == command {
		<-hold
	}
}

// Record starts recording exchanges, or stops and discards the recorded ones.
func (w *Wire) Record(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keep, w.log = on, nil
}

// Log returns the recorded exchanges.
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

// next returns the fault for a command, if any, and its delay.
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

// wired is one connection through a Wire.
type wired struct {
	Conn
	wire   *Wire
	posted chan exchanged
}

// exchanged is the result of a command that was posted.
type exchanged struct {
	response []byte
	err      error
}

// Post sends a command through the wire's delays and faults, and does not wait for the
// response.
func (c *wired) Post(command []byte) error {
	c.posted = make(chan exchanged, 1)
	go func(done chan<- exchanged) {
		rsp, err := c.Send(command)
		done <- exchanged{bytes.Clone(rsp), err} // the caller may still be reading the previous response
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
	c.wire.wait(responseCode(command))
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
