package vault

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"sync"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// A keeper is a protector that keeps a key for each of its blobs, as a token does.
type keeper struct {
	driver.Protector
	mu   sync.Mutex
	kept map[string]bool
}

func newKeeper(t *testing.T) *keeper {
	return &keeper{Protector: passphrase(t, "kept"), kept: make(map[string]bool)}
}

func (k *keeper) Protect(ctx context.Context, b driver.Binding, root []byte) (driver.Blob, error) {
	blob, err := k.Protector.Protect(ctx, b, root)
	if err == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.kept[string(blob)] = true
	}
	return blob, err
}

func (k *keeper) Discard(_ context.Context, _ driver.Binding, blob driver.Blob) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.kept, string(blob))
	return nil
}

// keys returns the number of keys.
func (k *keeper) keys() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.kept)
}

// TestFailedCommitLeavesNoProtectorKey: an operation that adds a protector and fails
// leaves no key in its device. If the commit succeeds or is in doubt, the key stays.
func TestFailedCommitLeavesNoProtectorKey(t *testing.T) {
	way := passphrase(t, "p")
	add := func(ctx context.Context, c Client, k *keeper) error { return second(c.AddProtector(ctx, way, k)) }
	rotate := func(ctx context.Context, c Client, k *keeper) error { return c.RotateRoot(ctx, way, k) }
	backup := func(w io.Writer) func(context.Context, Client, *keeper) error {
		return func(ctx context.Context, c Client, k *keeper) error {
			return second(c.Backup(ctx, w, BackupOptions{}, k))
		}
	}
	full, gone, doubt := keystore.ErrFull, errors.New("disk is gone"), errors.New("written, or not")
	for _, x := range []struct {
		name  string
		call  func(context.Context, Client, *keeper) error
		fault error
		deny  Operation
		want  error
		keys  int
	}{
		{"AddProtector", add, nil, "", nil, 1},
		{"AddProtector on a full disk", add, full, "", ErrStorageFull, 0},
		{"AddProtector is denied meanwhile", add, nil, OpAddProtector, ErrDenied, 0},
		{"AddProtector on a disk that is gone", add, gone, "", ErrAuditUnavailable, 0},
		{"AddProtector in doubt", add, doubt, "", ErrAuditUnavailable, 1},
		{"RotateRoot", rotate, nil, "", nil, 1},
		{"RotateRoot on a full disk", rotate, full, "", ErrStorageFull, 0},
		{"RotateRoot is denied meanwhile", rotate, nil, OpRotateRoot, ErrDenied, 0},
		{"Backup", backup(io.Discard), nil, "", nil, 1},
		{"Backup on a full disk", backup(io.Discard), full, "", ErrStorageFull, 0},
		{"Backup to a writer that fails", backup(brokenWriter{}), nil, "", ErrUnavailable, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			engine, rules := storetest.NewMemory(), &denyList{}
			cfg := testConfig()
			cfg.Authorizer = rules
			cfg.openEngine = func(dir string) (keystore.Engine, error) { return engine.Open(dir) }
			v, err := Create(t.Context(), filepath.Join(t.TempDir(), "v"), cfg, way)
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			k := newKeeper(t)
			m := &mutatingProtector{Protector: k, meanwhile: func() error {
				rules.deny(x.deny)
				if x.fault != nil {
					engine.Fault(func(b keystore.Batch) error {
						if x.fault == doubt {
							engine.Apply(b)
						}
						return x.fault
					})
				}
				return nil
			}}
			k.Protector, m.Protector = m, k.Protector
			if err := x.call(t.Context(), v.As("user"), k); !errors.Is(err, x.want) {
				t.Errorf("%s: %v, want %v", x.name, err, x.want)
			}
			if n := k.keys(); n != x.keys {
				t.Errorf("%d keys are in the device, want %d", n, x.keys)
			}
		})
	}
}

// brokenWriter fails.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// TestFailedCreateLeavesNoProtectorKey: the protector that comes first is discarded if a
// later one fails, or the directory cannot be written.
func TestFailedCreateLeavesNoProtectorKey(t *testing.T) {
	k := newKeeper(t)
	failing := &failingProtector{passphrase(t, "p")}
	if v, err := Create(t.Context(), filepath.Join(t.TempDir(), "v"), testConfig(), k, failing); !errors.Is(err, ErrUnavailable) || k.keys() != 0 {
		t.Errorf("Create: %v, %v, with %d keys in the device, want ErrUnavailable and none", v, err, k.keys())
	}
	cfg := testConfig()
	cfg.openEngine = func(dir string) (keystore.Engine, error) {
		engine := storetest.NewMemory()
		engine.Fault(func(keystore.Batch) error { return keystore.ErrFull })
		return engine.Open(dir)
	}
	if v, err := Create(t.Context(), filepath.Join(t.TempDir(), "v"), cfg, k); !errors.Is(err, ErrStorageFull) || k.keys() != 0 {
		t.Errorf("Create on a full disk: %v, %v, with %d keys in the device, want ErrStorageFull and none", v, err, k.keys())
	}
	v, _ := newTestVault(t, testConfig())
	var w bytes.Buffer
	if _, err := v.As(DefaultOwner).Backup(t.Context(), &w, BackupOptions{}, passphrase(t, "backup")); err != nil {
		t.Fatal(err)
	}
	restored, err := Restore(t.Context(), filepath.Join(t.TempDir(), "v"), cfg, []io.Reader{&w}, passphrase(t, "backup"), k)
	if !errors.Is(err, ErrStorageFull) || k.keys() != 0 {
		t.Errorf("Restore on a full disk: %v, %v, with %d keys in the device, want ErrStorageFull and none", restored, err, k.keys())
	}
}

// A failingProtector cannot protect.
type failingProtector struct{ driver.Protector }

func (failingProtector) Protect(context.Context, driver.Binding, []byte) (driver.Blob, error) {
	return nil, &driver.Error{Op: "Protect", Class: driver.Unavailable}
}
