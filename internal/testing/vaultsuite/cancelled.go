package vaultsuite

import (
	"context"
	"errors"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver/drivertest"
	"strongroom.example/vault"
)

// cancelled: an operation whose context is done returns the context's error, unwrapped,
// and does not call the device.
func cancelled(t *testing.T, s *subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := s.shared.owner()
	for _, r := range s.each() {
		m := s.sample(t, s.shared, r)
		before := s.shared.calls()
		for _, a := range actsOf(r.usage) {
			if err := a.run(ctx, c, m); err != context.Canceled {
				t.Errorf("%s with a key of %s and a cancelled context: %v, want context.Canceled", a.op, r, err)
			}
		}
		if n := s.shared.calls() - before; n != 0 {
			t.Errorf("%s: %d device calls with a cancelled context, want 0", r, n)
		}
	}
	keys := count(t, c, vault.KeyFilter{})
	if _, err := c.CreateKey(ctx, vault.KeyOptions{}); err != context.Canceled {
		t.Errorf("CreateKey with a cancelled context: %v, want context.Canceled", err)
	}
	if n := count(t, c, vault.KeyFilter{}); n != keys {
		t.Errorf("%d keys after a cancelled CreateKey, want %d", n, keys)
	}
}

// cancelledWhileWaiting: a context that ends while an operation waits for the device ends
// the operation, which is recorded, and the key remains usable.
func cancelledWhileWaiting(t *testing.T, s *subject) {
	x := s.faulty
	for _, r := range s.eachOnDevice(t) {
		m := s.sample(t, x, r)
		for _, a := range actsOf(r.usage) {
			if a.method == "" {
				continue
			}
			id := string(a.op) + " that waited"
			never := make(chan struct{})
			x.device.Add(drivertest.Fault{Method: a.method, Block: never})
			ctx, cancel := context.WithCancel(vault.WithRequestID(t.Context(), id))
			ended := make(chan error, 1)
			go func() { ended <- a.run(ctx, x.owner(), m) }()
			for x.device.Waiting() == 0 && len(ended) == 0 {
				time.Sleep(time.Millisecond)
			}
			cancel()
			if err := <-ended; err != context.Canceled {
				t.Errorf("%s cancelled while it waits for the device: %v, want context.Canceled", a.op, err)
			}
			x.device.Clear()
			for _, got := range recorded(t, x, audit.Filter{Operation: string(a.op), Key: m.key.ID}, id) {
				if got.Result != audit.Failed || got.Error != "CANCELLED" {
					t.Errorf("%s is recorded as %+v, want FAILED with CANCELLED", a.op, got)
				}
			}
			if err := a.run(t.Context(), x.owner(), m); err != nil {
				t.Errorf("%s after a cancelled one: %v", a.op, err)
			}
		}
	}
}

// recorded returns the records of one request. It fails the test if there are none.
func recorded(t *testing.T, x *home, f audit.Filter, id string) (out []audit.Record) {
	t.Helper()
	for r, err := range x.owner().AuditRecords(t.Context(), f) {
		if err != nil {
			t.Fatal(err)
		}
		if r.RequestID == id {
			out = append(out, r)
		}
	}
	if len(out) == 0 {
		t.Errorf("no audit record of request %s", id)
	}
	return out
}

// interrupted: if disabling a key is acknowledged while an operation with that key waits
// for any of its device calls, the operation returns no result. ReEncrypt depends on two
// keys.
func interrupted(t *testing.T, s *subject) {
	x := s.faulty
	for _, r := range s.eachOnDevice(t) {
		m := s.sample(t, x, r)
		for _, a := range actsOf(r.usage) {
			if a.method != "" {
				atEachDeviceCall(t, x, string(a.op), m.key.ID, func(ctx context.Context) error { return a.run(ctx, x.owner(), m) })
			}
		}
		if r.usage != vault.EncryptDecrypt {
			continue
		}
		to := x.create(t, x.options(r))
		move := func(ctx context.Context) error {
			_, err := x.owner().ReEncrypt(ctx, m.ct, to.ID, purpose(), nil)
			return err
		}
		atEachDeviceCall(t, x, "ReEncrypt, source", m.key.ID, move)
		atEachDeviceCall(t, x, "ReEncrypt, destination", to.ID, move)
	}
}

// atEachDeviceCall disables a key during the first device call of an operation, then in
// another run during the second, and so on until the operation makes no more calls.
func atEachDeviceCall(t *testing.T, x *home, name, key string, act func(context.Context) error) {
	t.Helper()
	for n := 1; ; n++ {
		held := make(chan struct{})
		x.device.Add(drivertest.Fault{Nth: n, Block: held})
		ended := make(chan error, 1)
		go func() { ended <- act(t.Context()) }()
		for x.device.Waiting() == 0 && len(ended) == 0 {
			time.Sleep(time.Millisecond)
		}
		reached := len(ended) == 0
		if reached {
			if err := x.owner().DisableKeys(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		x.device.Clear()
		close(held)
		err := <-ended
		if !reached {
			if err != nil || n == 1 {
				t.Errorf("%s made %d calls of the device and returned %v, want at least one and a result", name, n-1, err)
			}
			return
		}
		if !errors.Is(err, vault.ErrKeyState) {
			t.Errorf("%s with its key disabled during device call %d: %v, want ErrKeyState", name, n, err)
		}
		if err := x.owner().EnableKeys(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
}

// failures: each failed and each refused use of a key is recorded exactly once, under the
// caller's name.
func failures(t *testing.T, s *subject) {
	x, want := s.shared, map[string]uint64{}
	before := failed(t, x)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	owner := string(x.key(t, s.each()[0]).Creator)
	for _, r := range s.each() {
		m := s.sample(t, x, r)
		absent := m
		absent.key.ID = "none-of-that-name"
		for _, a := range actsOf(r.usage) {
			stranger := "stranger to " + string(a.op)
			for _, call := range []struct {
				by  string
				ctx context.Context
				m   keySample
			}{{stranger, t.Context(), m}, {stranger, cancelled, m}, {owner, cancelled, m}, {owner, t.Context(), absent}} {
				if !a.named && call.m.key.ID == absent.key.ID {
					continue // the ciphertext names the key
				}
				if err := a.run(call.ctx, x.vault.As(vault.Principal(call.by)), call.m); err == nil {
					t.Errorf("%s by %s with key %q returned no error", a.op, call.by, call.m.key.ID)
				}
				want[call.by]++
			}
		}
	}
	after := failed(t, x)
	for by, n := range want {
		if got := after[by] - before[by]; got != n {
			t.Errorf("%d failures of %q are on record, want %d", got, by, n)
		}
	}
}

// failed counts the recorded failures by principal.
func failed(t *testing.T, x *home) map[string]uint64 {
	t.Helper()
	n := map[string]uint64{}
	for r, err := range x.owner().AuditRecords(t.Context(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Result == audit.Refused || r.Result == audit.Failed {
			n[r.Principal] += max(1, r.Count)
		}
	}
	return n
}
