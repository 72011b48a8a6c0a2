// Package devicekey checks the keys that drivers open: that a driver keeps to its contract,
// that a device's key is the recorded one, and which material a key has.
package devicekey

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/fault"
)

// Opened turns a nil key without an error into ErrUnavailable.
func Opened(key driver.Key, err error) (driver.Key, error) {
	if err == nil && key == nil {
		return nil, fmt.Errorf("%w: the driver returned neither a key nor an error", fault.ErrUnavailable)
	}
	return key, err
}

// CheckedPRF makes one call of a driver's PRF of an algorithm. It returns ErrUnavailable for output
// of a wrong length, because a MAC of no bytes would be valid for every message.
func CheckedPRF(ctx context.Context, key driver.PRF, alg driver.KeyAlgorithm, dst, input []byte) ([]byte, error) {
	out, err := key.PRF(ctx, dst, input)
	if err != nil {
		return nil, err
	}
	if n := len(out) - len(dst); n != alg.MACSize() {
		return nil, fmt.Errorf("%w: the driver's PRF returned %d bytes, not %d", fault.ErrUnavailable, n, alg.MACSize())
	}
	return out, nil
}

// A Commitment is the vault's key for values that identify material and do not reveal it, with
// the suite of their MACs.
type Commitment struct {
	Suite suite.ID
	Key   []byte
}

// The purposes of the commitment key.
const (
	commitToCheck = "check"
	commitToKey   = "key"
	commitToVault = "vault"
)

// CheckDestroyed opens destroyed material, to see that the device of the named driver no
// longer has it.
func CheckDestroyed(ctx context.Context, d driver.Driver, id driver.MaterialID, spec driver.KeySpec, name string) error {
	key, err := Opened(d.OpenKey(ctx, id, spec, nil))
	if err == nil {
		key.Close()
		return fmt.Errorf("%w: driver %q still has the destroyed material", fault.ErrUnavailable, name)
	}
	if errors.Is(err, driver.NotFound) {
		return nil
	}
	return err
}
