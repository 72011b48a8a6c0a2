package tpm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// TestCorruptResponse corrupts one response so that it does not parse. Its call must fail,
// and none after it: the driver must replace the session, whose nonce the TPM has already
// rolled.
func TestCorruptResponse(t *testing.T) {
	for name, corrupt := range map[string]func(rsp []byte) []byte{
		"short":  func(rsp []byte) []byte { return resized(rsp, len(rsp)-8) },
		"long":   func(rsp []byte) []byte { return resized(rsp, len(rsp)+1) },
		"header": func(rsp []byte) []byte { return resized(rsp, 10) },
	} {
		t.Run(name, func(t *testing.T) {
			var m corrupter
			cfg := m.config(newTPM(t))
			cfg.Counter = 0x01500001
			d := openConfig(t, cfg)
			k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
			want := prf(t, k)
			m.corrupt(0x14E, corrupt)
			if _, err := d.Read(context.Background()); !errors.Is(err, driver.Unknown) {
				t.Errorf("Read with a corrupted response to TPM2_NV_Read: %v, want Unknown", err)
			}
			if string(prf(t, k)) != string(want) {
				t.Error("PRF returned another result than before")
			}
			read(t, d)
		})
	}
}

// TestSessionOutOfStep starts a session whose first nonce arrives with one bit changed.
// The TPM rejects authorizations in that session: one call must fail, and the next must
// have a new session.
func TestSessionOutOfStep(t *testing.T) {
	var m corrupter
	d := openConfig(t, m.config(newTPM(t)))
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	d.AgeSession()
	m.corrupt(0x176, flipAt(20))
	if _, err := k.PRF(context.Background(), nil, []byte("question")); !errors.Is(err, driver.Denied) {
		t.Errorf("PRF in a session that is out of step: %v, want Denied", err)
	}
	if string(prf(t, k)) != string(want) {
		t.Error("PRF returned another result than before")
	}
}

// TestResetLockoutOutOfStep calls ResetLockout while the session is out of step. In
// that session the TPM would treat the right authorization as a wrong one, and refuse it
// for hours.
func TestResetLockoutOutOfStep(t *testing.T) {
	var m corrupter
	d := openConfig(t, m.config(testtoken.NewSWTPM(t)))
	d.AgeSession()
	m.corrupt(0x176, flipAt(20))
	for range 2 {
		if err := d.ResetLockout(context.Background(), nil); err != nil {
			t.Errorf("ResetLockout with the right authorization: %v", err)
		}
	}
}

// flipAt returns a function that flips a bit of byte i.
func flipAt(i int) func(rsp []byte) []byte {
	return func(rsp []byte) []byte { rsp[i] ^= 1; return rsp }
}

// TestCorruptStorageKey corrupts the response in which the driver reads the storage root
// key after a reconnection. The driver must treat it neither as the key of another TPM
// nor as missing.
func TestCorruptStorageKey(t *testing.T) {
	for name, at := range map[string]int{"the name's algorithm": 10 + 2 + 3, "an attribute": 10 + 2 + 4 + 1, "the modulus": 10 + 2 + 100} {
		t.Run(name, func(t *testing.T) {
			s := newTPM(t)
			put(t, s, nil, tpm2.RSASRKTemplate)
			var m corrupter
			d := openConfig(t, m.config(s))
			p := protector(t, d, tpm.Policy{})
			root, blob := seal(t, p)
			d.Drop()
			m.corrupt(0x173, flipAt(at))
			opens(t, p, root, blob, "with a corrupted response")
			if there := persistent(t, d); len(there) != 1 {
				t.Errorf("the persistent keys are %X, want one", there)
			}
		})
	}
}

// TestCorruptCapability opens a TPM whose response to a capability query is not the
// requested one.
func TestCorruptCapability(t *testing.T) {
	for name, kind := range map[string]byte{"algorithms": 0, "handles": 1, "commands": 2, "properties": 6, "curves": 8} {
		t.Run(name, func(t *testing.T) {
			var m corrupter
			m.corrupt(0x17A, func(rsp []byte) []byte {
				if len(rsp) < 15 || rsp[14] != kind {
					return rsp
				}
				return resized(rsp, 10)
			})
			d, err := tpm.Open(t.Context(), m.config(newTPM(t)))
			if err == nil {
				d.Close()
			}
			oneLine(t, err, driver.Unknown)
		})
	}
}

// TestCorruptCounter corrupts the response that contains the counter's name, because
// another name would identify another counter.
func TestCorruptCounter(t *testing.T) {
	var m corrupter
	cfg := m.config(newTPM(t))
	cfg.Counter = 0x01500001
	d := openConfig(t, cfg)
	want, err := d.Identity(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func([]byte) []byte{
		"name":       func(rsp []byte) []byte { rsp[len(rsp)-1] ^= 1; return rsp },
		"attributes": flipAt(10 + 2 + 4 + 2),
	} {
		m.corrupt(0x169, change)
		if got, err := d.Identity(context.Background()); err != nil || got != want {
			t.Errorf("Identity with a corrupted %s: %s, %v, want %s", what, got, err, want)
		}
	}
}

// persistent lists the persistent keys of a TPM.
func persistent(t *testing.T, d *tpm.Driver) (there []tpm2.TPMHandle) {
	t.Helper()
	err := d.Do(func(c transport.TPM) (err error) {
		there, err = persistentKeys(c)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}

func persistentKeys(c transport.TPM) ([]tpm2.TPMHandle, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x81000000, PropertyCount: 64}.Execute(c)
	if err != nil {
		return nil, err
	}
	list, err := rsp.CapabilityData.Data.Handles()
	if err != nil {
		return nil, err
	}
	return list.Handle, nil
}

// A corrupter corrupts responses in transit. The TPM has executed the command.
type corrupter struct {
	mu      sync.Mutex
	command uint32
	change  func(rsp []byte) []byte // nil: nothing is changed
}

// corrupt changes the next successful response to a command code. If change leaves a
// response as it is, the corrupter waits for the next one.
func (m *corrupter) corrupt(command uint32, change func(rsp []byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.command, m.change = command, change
}

// config returns the Config for a TPM behind the corrupter.
func (m *corrupter) config(s *testtoken.SWTPM) tpm.Config {
	return tpm.Config{Dial: func() (transport.TPMCloser, error) {
		c, err := s.Dial()
		return &corruptedConn{Conn: c, by: m}, err
	}}
}

// pass returns the response as the driver receives it.
func (m *corrupter) pass(command uint32, rsp []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.change == nil || m.command != command || len(rsp) < 10 || binary.BigEndian.Uint32(rsp[6:]) != 0 {
		return rsp
	}
	corrupted := m.change(bytes.Clone(rsp))
	if !bytes.Equal(corrupted, rsp) {
		m.change = nil
	}
	return corrupted
}

type corruptedConn struct {
	testtoken.Conn
	by     *corrupter
	posted uint32
}

func (c *corruptedConn) Post(command []byte) error {
	c.posted = binary.BigEndian.Uint32(command[6:])
	return c.Conn.Post(command)
}

func (c *corruptedConn) Fetch() ([]byte, error) {
	rsp, err := c.Conn.Fetch()
	if err != nil {
		return nil, err
	}
	return c.by.pass(c.posted, rsp), nil
}

// resized returns a response of another length, which its header states.
func resized(rsp []byte, length int) []byte {
	rsp = append(rsp, make([]byte, max(0, length-len(rsp)))...)[:length]
	binary.BigEndian.PutUint32(rsp[2:], uint32(length))
	return rsp
}
