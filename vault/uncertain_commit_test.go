package vault

import (
	"errors"
	"path/filepath"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/keystore"
	"strongroom.example/keystore/storetest"
)

// TestUncertainCommit: the batch of an outcome is durable although the engine reported a
// failure. The material that the outcome needs must not be destroyed: the next Open finds
// it in use.
func TestUncertainCommit(t *testing.T) {
	for name, act := range map[string]func(*testing.T, Client, Key) error{
		"MoveKey":   func(t *testing.T, c Client, k Key) error { _, err := c.MoveKey(t.Context(), k.ID, "hsm"); return err },
		"RotateKey": func(t *testing.T, c Client, k Key) error { _, err := c.RotateKey(t.Context(), k.ID); return err },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, engine, dir := t.Context(), storetest.NewMemory(), filepath.Join(t.TempDir(), "v")
			cfg := Config{Edition: testEdition(), Drivers: map[string]driver.Driver{"hsm": drivertest.NewMemory()}}
			cfg.openEngine = func(dir string) (keystore.Engine, error) { return engine.Open(dir) }
			v, err := Create(ctx, dir, cfg, passphrase(t, "p"))
			if err != nil {
				t.Fatal(err)
			}
			c, o := v.As(DefaultOwner), KeyOptions{}
			if name == "RotateKey" {
				o.Driver = "hsm"
			}
			k := mustKey(t, c, o)
			ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
			if err != nil {
				t.Fatal(err)
			}
			batches := 0
			engine.Fault(func(b keystore.Batch) error {
				if batches++; batches == 2 {
					engine.Apply(b)
				}
				if batches >= 2 {
					return errors.New("disk is gone")
				}
				return nil
			})
			if err := act(t, c, k); !errors.Is(err, ErrAuditUnavailable) {
				t.Errorf("the operation returned %v, want %v", err, ErrAuditUnavailable)
			}
			engine.Fault(nil)
			v.Close()
			if v, err = Open(ctx, dir, cfg, passphrase(t, "p")); err != nil {
				t.Fatal(err)
			}
			defer closeChecked(t, v)
			if got, err := v.As(DefaultOwner).Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
				t.Errorf("Decrypt of an earlier ciphertext: %q, error %v", got, err)
			}
			if _, err := v.As(DefaultOwner).Encrypt(ctx, k.ID, nil, nil); err != nil {
				t.Errorf("Encrypt after Open: %v", err)
			}
		})
	}
}
