package vault

import (
	"context"
	"crypto"
	"errors"
	"io"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"strongroom.example/audit"
	"strongroom.example/driver/drivertest"
	"strongroom.example/internal/testing/poll"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// closingCall closes the vault in another goroutine when start is called.
type closingCall struct {
	v    *Vault
	done chan error
}

func (c *closingCall) start() {
	c.done = make(chan error, 1)
	go func() { c.done <- c.v.Close() }()
	for c.v.enter() == nil { // then Close waits for running operations
		c.v.leave()
		runtime.Gosched()
	}
}

func (c *closingCall) wait(t *testing.T) {
	t.Helper()
	select {
	case err := <-c.done:
		if err != nil {
			t.Errorf("Close: %v", err)
		}
	case <-time.After(poll.Limit):
		t.Fatal("Close hangs")
	}
}

// TestCloseWhileReading: the vault can be closed and used while records are read, and while
// the log is exported to a slow writer.
func TestCloseWhileReading(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	x := &closingCall{v: v}
	for _, err := range c.AuditRecords(ctx, audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		x.start()
		if _, err := c.Encrypt(ctx, k.ID, nil, nil); err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		break
	}
	x.wait(t)
	v, _ = newTestVault(t, testConfig())
	x = &closingCall{v: v}
	if err := v.As(DefaultOwner).ExportAudit(ctx, x); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v, want the writer's error", err)
	}
}

// Write closes the vault and returns an error.
func (c *closingCall) Write([]byte) (int, error) {
	if c.done == nil {
		c.start()
		<-c.done
	}
	return 0, io.ErrClosedPipe
}

// slowAuthorizer allows everything, and signals when a request arrives.
type slowAuthorizer struct{ came, ready chan struct{} }

func (a slowAuthorizer) Authorize(_ context.Context, r Request) (Decision, error) {
	if r.Operation == OpGenerateDataKey {
		a.came <- struct{}{}
		<-a.ready
	}
	return Decision{Allow: true}, nil
}

// TestCloseRacesDataKeys: Close destroys each data key whatever the time of its creation,
// and no locked memory remains.
func TestCloseRacesDataKeys(t *testing.T) {
	t.Parallel()
	for range 20 {
		a := slowAuthorizer{make(chan struct{}), make(chan struct{})}
		cfg := testConfig()
		cfg.Authorizer = a
		v := newMemoryVault(t, cfg)
		c := v.As("somebody")
		k := mustKey(t, c, KeyOptions{})
		got := make(chan *DataKey, 1)
		go func() {
			dk, err := c.GenerateDataKey(context.Background(), k.ID, 32, nil)
			if err != nil && !errors.Is(err, ErrClosed) {
				t.Error(err)
			}
			got <- dk
		}()
		<-a.came
		x := &closingCall{v: v}
		x.start()
		close(a.ready)
		x.wait(t)
		if dk := <-got; dk != nil {
			if err := dk.Use(func([]byte) error { return nil }); !errors.Is(err, ErrClosed) {
				t.Errorf("a data key of a closed vault: %v", err)
			}
		}
		if n := v.arena.LockedBytes(); n != 0 {
			t.Errorf("%d bytes are still locked", n)
		}
	}
}

// TestClosedForAll: every operation of a closed vault returns ErrClosed.
func TestClosedForAll(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	sign := mustKey(t, c, KeyOptions{Spec: ECCP256})
	signer, err := c.Signer(ctx, sign.ID)
	if err != nil {
		t.Fatal(err)
	}
	closeChecked(t, v)
	for name, err := range map[string]error{
		"GenerateDataKey":  second(c.GenerateDataKey(ctx, k.ID, 32, nil)),
		"WithoutPlaintext": second(c.GenerateDataKeyWithoutPlaintext(ctx, k.ID, 32, nil)),
		"OpenDataKey":      second(c.OpenDataKey(ctx, ct, nil)),
		"ReEncrypt":        second(c.ReEncrypt(ctx, ct, "", nil, nil)),
		"Decrypt":          second(c.Decrypt(ctx, ct, nil)),
		"MoveKey":          second(c.MoveKey(ctx, k.ID, "soft")),
		"Import":           second(c.ImportKeyMaterial(ctx, k.ID, ImportMaterial{})),
		"Signer.Sign":      second(signer.SignMessage(nil, nil, crypto.SHA256)),
		"Signer":           second(c.Signer(ctx, sign.ID)),
		"ListProtectors":   second(c.ListProtectors(ctx)),
		"Orphans":          second(c.Orphans(ctx, "soft")),
		"AddProtector":     second(c.AddProtector(ctx, passphrase(t, "a"), passphrase(t, "b"))),
		"RotateRoot":       c.RotateRoot(ctx, passphrase(t, "b")),
		"ExportAudit":      c.ExportAudit(ctx, io.Discard),
		"ExportBefore":     c.ExportAuditBefore(ctx, io.Discard, 1),
		"Check":            c.Check(ctx),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v, want %v", name, err, ErrClosed)
		}
	}
	if r := v.EditionReport(); r.Edition != testEdition() || v.ID() == "" || v.LogKey() == "" {
		t.Errorf("EditionReport, ID and LogKey of a closed vault: %+v", r)
	}
}

// TestHugeCiphertexts: input that is too long for a ciphertext is rejected as
// ErrCiphertext.
func TestHugeCiphertexts(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c, ctx := v.As(DefaultOwner), t.Context()
	k := mustKey(t, c, KeyOptions{})
	ct, err := c.Encrypt(ctx, k.ID, make([]byte, 32), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, MaxPlaintext + Overhead, 64 << 10, 1 << 20} {
		huge := append(ct[:len(ct):len(ct)], make([]byte, n)...)
		if n == 0 {
			huge = nil
		}
		for name, err := range map[string]error{
			"Decrypt":     second(c.Decrypt(ctx, huge, nil)),
			"ReEncrypt":   second(c.ReEncrypt(ctx, huge, "", nil, nil)),
			"OpenDataKey": second(c.OpenDataKey(ctx, huge, nil)),
		} {
			if !errors.Is(err, ErrCiphertext) {
				t.Errorf("%s of %d bytes: %v, want ErrCiphertext", name, len(huge), err)
			}
		}
	}
}

// TestCloseBesideAHungCall: while Close waits for a call that hangs in a device, new calls
// are rejected at once.
func TestCloseBesideAHungCall(t *testing.T) {
	v, faulty, _, _ := newDeviceVault(t)
	c, ctx := v.As(DefaultOwner), t.Context()
	k, other := mustKey(t, c, KeyOptions{}), mustKey(t, c, KeyOptions{Driver: softDriver})
	block, hung := make(chan struct{}), make(chan error, 1)
	faulty.Add(drivertest.Fault{Method: drivertest.MethodPRF, Block: block})
	go func() { hung <- second(c.Encrypt(ctx, k.ID, nil, nil)) }()
	poll.Until(t, "the device is asked", func() bool { return faulty.Waiting() > 0 })
	x := &closingCall{v: v}
	x.start()
	turned := make(chan error, 1)
	go func() { turned <- second(c.Encrypt(ctx, other.ID, nil, nil)) }()
	select {
	case err := <-turned:
		if !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	case <-time.After(poll.Limit):
		t.Error("an operation waits for Close, want ErrClosed at once")
	}
	faulty.Clear()
	close(block)
	if err := <-hung; err != nil {
		t.Errorf("what was under way: %v", err)
	}
	x.wait(t)
}

// fullEngine reports a full disk when it is first closed.
type fullEngine struct {
	keystore.Engine
	closed int
}

func (e *fullEngine) Close() error {
	e.closed++
	if e.closed == 1 {
		return keystore.ErrFull
	}
	return e.Engine.Close()
}

// TestCloseOnAFullDisk: a Close that found the disk full keeps the directory locked, and
// can be called again.
func TestCloseOnAFullDisk(t *testing.T) {
	engine, cfg := storetest.NewMemory(), testConfig()
	cfg.openEngine = func(dir string) (keystore.Engine, error) {
		e, err := engine.Open(dir)
		return &fullEngine{Engine: e}, err
	}
	dir, p := filepath.Join(t.TempDir(), "vault"), passphrase(t, "p")
	v, err := Create(t.Context(), dir, cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	k := mustKey(t, v.As(DefaultOwner), KeyOptions{})
	if err := v.Close(); !errors.Is(err, ErrStorageFull) {
		t.Fatalf("Close on a full disk: %v", err)
	}
	if _, err := Open(t.Context(), dir, cfg, p); !errors.Is(err, ErrInUse) {
		t.Errorf("opened while it is not closed: %v", err)
	}
	if n := v.arena.LockedBytes(); n != 0 {
		t.Errorf("%d bytes are still locked", n)
	}
	for range 2 {
		if err := v.Close(); err != nil {
			t.Fatalf("Close with room: %v", err)
		}
	}
	cfg.openEngine = engine.Open
	if v, err = Open(t.Context(), dir, cfg, p); err != nil {
		t.Fatal(err)
	}
	defer closeChecked(t, v)
	if _, err := v.As(DefaultOwner).DescribeKey(t.Context(), k.ID); err != nil {
		t.Error(err)
	}
}
