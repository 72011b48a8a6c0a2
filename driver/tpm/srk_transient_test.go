package tpm_test

import (
	"context"
	"testing"

	"github.com/google/go-tpm/tpm2/transport"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// openTransient opens a fresh TPM that refuses to persist the storage root key.
func openTransient(t *testing.T) (*tpm.Driver, *testtoken.SWTPM) {
	t.Helper()
	s := newTPM(t)
	w := testtoken.NewWire(s.Dial)
	w.Answer(0x120, 0, 0x14B, 0x14B) // EvictControl: NV_SPACE
	return openConfig(t, tpm.Config{Dial: dialer(w.Dial)}), s
}

// TestTransientSRKCleared clears the TPM without breaking the connection. The saved
// storage root key is then void, and blobs under it belong to another TPM; they are not
// damaged.
func TestTransientSRKCleared(t *testing.T) {
	d, _ := openTransient(t)
	n := generate(t, d, hmacSpec)
	p := protector(t, d, tpm.Policy{})
	_, blob := seal(t, p)
	d.Do(func(c transport.TPM) error { clearTPM(t, c); return nil })
	_, err := p.Recover(context.Background(), nil, binding, blob)
	wrongDevice(t, err, driver.Denied, "a root")
	_, err = d.OpenKey(context.Background(), n.id, n.spec, n.Blob)
	wrongDevice(t, err, driver.Unavailable, "a key")
	_, err = d.GenerateKey(context.Background(), n.id, n.spec)
	wrongDevice(t, err, driver.Unavailable, "making a key")
}

// TestTransientSRKReset resets the TPM, and another program starts it. Only the saved
// storage root key shows the reset.
func TestTransientSRKReset(t *testing.T) {
	d, s := openTransient(t)
	n := generate(t, d, hmacSpec)
	p := protector(t, d, tpm.Policy{})
	root, blob := seal(t, p)
	err := d.Do(func(c transport.TPM) error {
		if err := s.Reset(); err != nil {
			return err
		}
		_, err := c.Send([]byte{0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	opens(t, p, root, blob, "after a reset")
	prf(t, openAs[driver.PRF](t, d, n))
	generate(t, d, hmacSpec)
}

// TestSRKPersistedByAnother has another program persist the same storage root key a moment
// before. The driver must adopt it where that program put it.
func TestSRKPersistedByAnother(t *testing.T) {
	s := newTPM(t)
	d := openAt(t, s, "")
	d.Close()
	w := testtoken.NewWire(s.Dial)
	w.Answer(0x173, 0, 0x18B) // ReadPublic: no key there yet
	d = openConfig(t, tpm.Config{Dial: dialer(w.Dial)})
	before := w.Count()
	generate(t, d, hmacSpec)
	if n := w.Count() - before; n != 1 {
		t.Errorf("GenerateKey sent %d commands: the driver does not use the persistent storage root key", n)
	}
}
