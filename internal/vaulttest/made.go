package vaulttest

import (
	"testing"

	"strongroom.example/vault"
)

// made is a shared key, with the attributes that the device returned when it created the
// key.
type made struct {
	key        vault.Key
	attributes map[string]string
}

// options returns the options for a new key on the device, if the device supports the row
// at all. An algorithm that the device runs slowly is used only if the options name the
// driver.
func (x *home) options(r row) vault.KeyOptions {
	o := vault.KeyOptions{Spec: r.spec, Usage: r.usage}
	if x.device == nil {
		return o
	}
	if can, ok := x.device.Info().Find(r.device); ok && can.Slow {
		o.Driver = x.driver()
	}
	return o
}

// createSymmetric creates an encryption key for one check.
func (x *home) createSymmetric(t *testing.T) vault.Key {
	t.Helper()
	return x.create(t, x.options(symmetricRow(x.cfg.Edition)))
}

// create creates a key for one check.
func (x *home) create(t *testing.T, o vault.KeyOptions) vault.Key {
	t.Helper()
	k, err := x.owner().CreateKey(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// key returns the shared key of a row, and creates it at the first call.
func (x *home) key(t *testing.T, r row) vault.Key {
	t.Helper()
	m, ok := x.made[r]
	if !ok {
		m.key = x.create(t, x.options(r))
		if x.device != nil && m.key.Driver == x.driver() {
			m.attributes = x.device.lastCreated().Attributes
		}
		x.made[r] = m
	}
	return m.key
}

// public returns the public key of the shared key of a row.
func (x *home) public(t *testing.T, r row) vault.PublicKey {
	t.Helper()
	return x.publicOf(t, x.key(t, r).ID)
}

func (x *home) publicOf(t *testing.T, key string) vault.PublicKey {
	t.Helper()
	p, err := x.owner().PublicKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
