package vaulttest

import (
	"context"
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
