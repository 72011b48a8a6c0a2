package vault

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// denyList is an Authorizer that allows everything that is not on the list. Its hook runs
// in each call, before the decision is returned.
type denyList struct {
	mu     sync.Mutex
	denied map[Operation]bool
	hook   func(Request)
}

func (d *denyList) Authorize(_ context.Context, r Request) (Decision, error) {
	d.mu.Lock()
	allow, hook := !d.denied[r.Operation], d.hook
	d.mu.Unlock()
	if hook != nil {
		hook(r)
	}
	return Decision{Allow: allow}, nil
}

func (d *denyList) deny(ops ...Operation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.denied = map[Operation]bool{}
	for _, op := range ops {
		d.denied[op] = true
	}
}

func (d *denyList) setHook(f func(Request)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hook = f
}

// deviceSteps is a vault whose operations can be interrupted between any two of their steps.
type deviceSteps struct {
	*Vault
	rules  *denyList
	device *drivertest.Faulty
	admin  Client
	user   Client
}

func newDeviceSteps(t *testing.T) *deviceSteps {
	t.Helper()
	s := &deviceSteps{rules: &denyList{}, device: drivertest.NewFaulty(drivertest.NewMemory())}
	t.Cleanup(func() { s.device.Close() })
	cfg := deviceConfig(s.device)
	cfg.Authorizer = s.rules
	engine := storetest.NewMemory()
	cfg.openEngine = func(dir string) (keystore.Engine, error) { return engine.Open(dir) }
	s.Vault, _ = newTestVault(t, cfg)
	s.admin, s.user = s.As("admin"), s.As("user")
	return s
}

// interference is a change between two steps of an operation, after which the operation
// must give no result. do returns once the change is acknowledged.
type interference struct {
	name string
	do   func(t *testing.T, s *deviceSteps)
}

func disabling(key string) interference {
	return interference{"disable " + key, func(t *testing.T, s *deviceSteps) {
		if err := s.admin.DisableKeys(context.Background(), key); err != nil {
			t.Errorf("DisableKeys: %v", err)
		}
	}}
}

// deleting returns when the CMK is PendingImport, because the deletion itself waits for the
// interrupted operation.
func deleting(key string) interference {
	return interference{"delete material of " + key, func(t *testing.T, s *deviceSteps) {
		deleted := make(chan error, 1)
		go func() { deleted <- s.admin.DeleteImportedKeyMaterial(context.Background(), key) }()
		t.Cleanup(func() {
			if err := <-deleted; err != nil {
				t.Errorf("DeleteImportedKeyMaterial: %v", err)
			}
		})
		poll.Until(t, "PendingImport", func() bool {
			k, err := s.admin.DescribeKey(context.Background(), key)
			return err == nil && k.State == PendingImport
		})
	}}
}

func denying(op Operation) interference {
	return interference{"deny " + string(op), func(_ *testing.T, s *deviceSteps) { s.rules.deny(op) }}
}

// run runs an operation of the user and reports whether it gave a result.
type run func(context.Context) (bool, error)

// longOperation is an operation of more than one step.
type longOperation struct {
	name string
	// decisions is the number of requests that it makes.
	decisions int
	// ready makes what the operation needs. It returns the operation, and the changes that
	// must keep it from giving a result.
	ready func(t *testing.T, s *deviceSteps) (run, []interference)
}

func longOperations() []longOperation {
	return []longOperation{
		{"ReEncrypt", 2, func(t *testing.T, s *deviceSteps) (run, []interference) {
			mustImport(t, s.admin, "source", newImportFixture(t, s.admin, mustKey(t, s.admin, KeyOptions{Alias: "source", Origin: OriginExternal}), ownKey(1)).material())
			mustKey(t, s.admin, KeyOptions{Alias: "destination"})
			ct, err := s.admin.Encrypt(t.Context(), "source", []byte("4711"), nil)
			if err != nil {
				t.Fatal(err)
			}
			return func(ctx context.Context) (bool, error) {
				out, err := s.user.ReEncrypt(ctx, ct, "destination", nil, nil)
				return out != nil, err
			}, []interference{disabling("source"), deleting("source"), denying(OpReEncryptFrom), disabling("destination"), denying(OpReEncryptTo)}
		}},
		{"RotateKey", 1, func(t *testing.T, s *deviceSteps) (run, []interference) {
			mustKey(t, s.admin, KeyOptions{Alias: "rotated"})
			return func(ctx context.Context) (bool, error) {
				k, err := s.user.RotateKey(ctx, "rotated")
				return k.ID != "", err
			}, []interference{disabling("rotated"), denying(OpRotateKey)}
		}},
		{"CreateKey", 1, func(_ *testing.T, s *deviceSteps) (run, []interference) {
			return func(ctx context.Context) (bool, error) {
				k, err := s.user.CreateKey(ctx, KeyOptions{})
				return k.ID != "", err
			}, []interference{denying(OpCreateKey)}
		}},
		{"MoveKey", 1, func(t *testing.T, s *deviceSteps) (run, []interference) {
			mustKey(t, s.admin, KeyOptions{Alias: "moved", Driver: softDriver})
			return func(ctx context.Context) (bool, error) {
				receipts, err := s.user.MoveKey(ctx, "moved", "hsm")
				return len(receipts) > 0, err
			}, []interference{denying(OpMoveKey)}
		}},
		{"ParametersForImport", 1, func(t *testing.T, s *deviceSteps) (run, []interference) {
			mustImport(t, s.admin, "asked", newImportFixture(t, s.admin, mustKey(t, s.admin, KeyOptions{Alias: "asked", Origin: OriginExternal}), ownKey(2)).material())
			return func(ctx context.Context) (bool, error) {
				p, err := s.user.ParametersForImport(ctx, "asked", ImportRequest{})
				return p.Token != nil, err
			}, []interference{disabling("asked"), denying(OpParametersForImport)}
		}},
		{"ImportKeyMaterial", 1, func(t *testing.T, s *deviceSteps) (run, []interference) {
			p := newImportFixture(t, s.admin, mustKey(t, s.admin, KeyOptions{Alias: "imported", Origin: OriginExternal}), ownKey(3))
			mustImport(t, s.admin, "imported", p.material())
			return func(ctx context.Context) (bool, error) {
				k, err := s.user.ImportKeyMaterial(ctx, "imported", p.material())
				return k.ID != "", err
			}, []interference{disabling("imported"), deleting("imported"), denying(OpImportKeyMaterial)}
		}},
		{"AddProtector", 1, func(t *testing.T, s *deviceSteps) (run, []interference) {
			return func(ctx context.Context) (bool, error) {
				p, err := s.user.AddProtector(ctx, passphrase(t, "correct horse"), s.device.Protector(passphrase(t, "second")))
				return p.ID != "", err
			}, []interference{denying(OpAddProtector)}
		}},
	}
}

// TestLastCommitRechecks interrupts each operation of more than one step between any two of
// its steps. The operation must give no result once it is acknowledged that a CMK that it
// uses is disabled or without material, or that a permission has ended.
func TestLastCommitRechecks(t *testing.T) {
	t.Parallel()
	for _, op := range longOperations() {
		t.Run(op.name, func(t *testing.T) {
			s := newDeviceSteps(t)
			_, against := op.ready(t, s)
			for i, a := range against {
				t.Run(a.name, func(t *testing.T) {
					atDeviceCalls(t, op, i)
					atDecisions(t, op, i)
				})
			}
		})
	}
}

// atDeviceCalls interrupts the operation at its first call of the device, at its second,
// and so on.
func atDeviceCalls(t *testing.T, op longOperation, against int) {
	t.Helper()
	for n := 1; ; n++ {
		s := newDeviceSteps(t)
		act, all := op.ready(t, s)
		held := make(chan struct{})
		s.device.Add(drivertest.Fault{Nth: n, Block: held})
		calls := s.device.Calls("")
		type outcome struct {
			result bool
			err    error
		}
		ended := make(chan outcome, 1)
		go func() {
			result, err := act(t.Context())
			ended <- outcome{result, err}
		}()
		var got *outcome
		for got == nil && (s.device.Calls("") < calls+n || s.device.Waiting() == 0) {
			select {
			case o := <-ended:
				got = &o
			case <-time.After(time.Millisecond):
			}
		}
		if got != nil {
			if !got.result || got.err != nil {
				t.Errorf("%s without an interruption returned %v, want a result", op.name, got.err)
			}
			if n == 1 {
				t.Errorf("%s does not call the device, want an operation that does", op.name)
			}
			return
		}
		all[against].do(t, s)
		s.device.Clear()
		close(held)
		if o := <-ended; o.result || o.err == nil {
			t.Errorf("%s gave a result (error %v) although it met %q at device call %d", op.name, o.err, all[against].name, n)
		}
	}
}

// atDecisions interrupts the operation at the first call of the Authorizer, at the second,
// and so on.
func atDecisions(t *testing.T, op longOperation, against int) {
	t.Helper()
	for n := 1; ; n++ {
		s := newDeviceSteps(t)
		act, all := op.ready(t, s)
		if n > op.decisions && strings.HasPrefix(all[against].name, "deny") {
			return // the permission ended after the last decision
		}
		asked := 0
		s.rules.setHook(func(r Request) {
			if r.Principal != "user" {
				return
			}
			if asked++; asked == n {
				all[against].do(t, s)
			}
		})
		result, err := act(t.Context())
		s.rules.setHook(nil)
		if asked < n {
			return
		}
		if result || err == nil {
			t.Errorf("%s gave a result (error %v) although it met %q at decision %d", op.name, err, all[against].name, n)
		}
	}
}
