package vault

import (
	"context"
	"errors"
	"fmt"

	"strongroom.example/driver"
	"strongroom.example/internal/lockedmem"
	"strongroom.example/internal/suite"
)

// driver returns the driver with the given name.
func (v *Vault) driver(name string) (driver.Driver, error) {
	d, ok := v.drivers[name]
	if !ok {
		return nil, fmt.Errorf("%w: the vault was opened without driver %.80q; add it to Config.Drivers", ErrUnavailable, name)
	}
	return d, nil
}

// withKey runs use, with retries, on the opened material of a key version.
func withKey[K driver.Key](ctx context.Context, v *Vault, ver version, use func(context.Context, K) error) error {
	id, err := ver.material()
	if err != nil {
		return err
	}
	return retryUse(ctx, func(ctx context.Context) error {
		one, err := v.handle(ctx, id, ver)
		if err != nil {
			return err
		}
		defer v.handles.give(one)
		key, ok := one.key.(K)
		if !ok {
			return wrongInterface(ver)
		}
		return v.useChecked(ctx, one, ver, func() error { return use(ctx, key) })
	})
}

// prf computes the PRF of a key version on input and appends the output to dst.
func (v *Vault) prf(ctx context.Context, ver version, dst, input []byte) (out []byte, err error) {
	err = withKey(ctx, v, ver, func(ctx context.Context, key driver.PRF) (err error) {
		out, err = derive(ctx, key, dst, input)
		return err
	})
	return out, err
}

// derive makes one call of a driver's PRF. It rejects output of a wrong length, because a
// MAC of no bytes would be valid for every message.
func derive(ctx context.Context, key driver.PRF, dst, input []byte) ([]byte, error) {
	out, err := key.PRF(ctx, dst, input)
	if err != nil {
		return nil, err
	}
	if n := len(out) - len(dst); n != suite.HashSize {
		return nil, fmt.Errorf("%w: the driver's PRF gave %d bytes, not %d", ErrUnavailable, n, suite.HashSize)
	}
	return out, nil
}

// opened turns a nil key without an error into ErrUnavailable.
func opened(key driver.Key, err error) (driver.Key, error) {
	if err == nil && key == nil {
		return nil, fmt.Errorf("%w: the driver opened a key and gave none", ErrUnavailable)
	}
	return key, err
}

// handle returns a handle of a key version, and opens the key if necessary.
func (v *Vault) handle(ctx context.Context, id driver.MaterialID, ver version) (*handle, error) {
	if one, ok := v.handles.take(id); ok {
		return one, nil
	}
	if !v.handles.begin(id) {
		return nil, fmt.Errorf("%w: material of key %s", ErrNotFound, ver.Key)
	}
	defer v.handles.end(id)
	d, err := v.driver(ver.Driver)
	if err != nil {
		return nil, err
	}
	r, err := v.store.Get(ctx, materialPath(id))
	if err != nil {
		return nil, missing(err, "material of key "+ver.Key)
	}
	key, err := opened(d.OpenKey(ctx, id, ver.spec(), driver.Blob(r.Value)))
	if errors.Is(err, lockedmem.ErrExhausted) {
		v.handles.trim()
		key, err = opened(d.OpenKey(ctx, id, ver.spec(), driver.Blob(r.Value)))
	}
	if errors.Is(err, driver.Authentic) && len(r.Value) == 0 {
		return nil, fmt.Errorf("%w: %w", errReplaced(ver), err) // there is no blob that could be damaged
	}
	if err != nil {
		return nil, err
	}
	checked, err := v.checkLookup(ctx, key, ver)
	if err != nil {
		key.Close()
		return nil, err
	}
	return v.handles.put(id, key, checked), nil
}
