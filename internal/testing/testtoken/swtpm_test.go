package testtoken

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"
)

var getRandom = []byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x7B, 0, 16}

func random(t *testing.T, c Conn) []byte {
	t.Helper()
	rsp, err := c.Send(getRandom)
	if err != nil || responseCode(rsp) != 0 || len(rsp) != 10+2+16 {
		t.Fatalf("GetRandom: %x, %v", rsp, err)
	}
	return bytes.Clone(rsp[12:])
}

func dial(t *testing.T, open func() (Conn, error)) Conn {
	t.Helper()
	c, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestSWTPMLife turns a TPM on and off in every way.
func TestSWTPMLife(t *testing.T) {
	s := NewSWTPM(t)
	c := dial(t, s.Dial)
	if bytes.Equal(random(t, c), random(t, c)) {
		t.Error("GetRandom returned the same bytes twice")
	}
	if err := s.Start(); !errors.Is(err, errRunning) {
		t.Errorf("Start of a running TPM: %v", err)
	}
	s.Kill()
	if _, err := c.Send(getRandom); err == nil {
		t.Error("a killed TPM responded")
	}
	if _, err := s.Dial(); err == nil {
		t.Error("a killed TPM accepted a connection")
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c = dial(t, s.Dial)
	random(t, c)
	c.Close()
	if err := s.PowerOff(); err != nil {
		t.Fatal(err)
	}
	random(t, dial(t, s.Clone(t).Dial))
}

// TestSWTPMReset resets a TPM while a client is connected, which must then send
// TPM2_Startup.
func TestSWTPMReset(t *testing.T) {
	s := NewSWTPM(t)
	c := dial(t, s.Dial)
	random(t, c)
	if err := s.Reset(); err != nil {
		t.Fatal(err)
	}
	if rsp, err := c.Send(getRandom); err != nil || responseCode(rsp) != 0x100 {
		t.Fatalf("after a reset: %x, %v", rsp, err)
	}
	startup := []byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0}
	if rsp, err := c.Send(startup); err != nil || responseCode(rsp) != 0 {
		t.Fatalf("TPM2_Startup: %x, %v", rsp, err)
	}
	random(t, c)
}

func TestWire(t *testing.T) {
	w := NewWire(NewSWTPM(t).Dial)
	c := dial(t, w.Dial)
	w.Record(true)
	w.Answer(0x17B, 1, 0x922, 0x101)
	w.Answer(0x999, 0, 0x100)
	random(t, c)
	for _, want := range []uint32{0x922, 0x101} {
		if rsp, err := c.Send(getRandom); err != nil || responseCode(rsp) != want {
			t.Fatalf("GetRandom: %x, %v, want code %x", rsp, err, want)
		}
	}
	random(t, c)
	w.Delay(func(uint32) time.Duration { return 30 * time.Millisecond })
	from := time.Now()
	random(t, c)
	if time.Since(from) < 30*time.Millisecond {
		t.Error("the wire did not delay the command")
	}
	if log := w.Log(); len(log) != 5 || log[0].Code() != 0x17B || len(log[0].Response) != 28 || w.Count() != 5 {
		t.Errorf("Log returned %d exchanges, Count %d commands", len(log), w.Count())
	}
	for _, executed := range []bool{false, true} {
		w.Break(0, 0, executed)
		if _, err := c.Send(getRandom); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("a broken connection: %v", err)
		}
		if _, err := c.Send(getRandom); err == nil {
			t.Error("a broken connection is still usable")
		}
		c = dial(t, w.Dial)
		random(t, c)
	}
}

// TestThaw checks that two TPMs that continue from the same state return the same random
// bytes.
func TestThaw(t *testing.T) {
	s := NewSWTPM(t)
	c := dial(t, s.Dial)
	random(t, c)
	f := s.Freeze(t)
	want := random(t, c)
	for range 2 {
		if got := random(t, dial(t, f.Thaw(t).Dial)); !bytes.Equal(got, want) {
			t.Errorf("the TPM continued with %x, the thawed one with %x", want, got)
		}
	}
	if bytes.Equal(random(t, c), want) {
		t.Error("GetRandom returned the same bytes twice")
	}
	s.Kill()
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	random(t, dial(t, s.Dial))
}
