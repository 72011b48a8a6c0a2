// Package fakedriver is a driver some of whose methods a test replaces. For failures and
// delays of single calls see drivertest.Faulty.
package fakedriver

import (
	"context"
	"slices"

	"strongroom.example/driver"
)

// A Device is a driver with every optional interface, as drivertest.Memory and
// drivertest.Faulty are.
type Device interface {
	driver.Driver
	driver.Importer
	driver.WrappedImporter
	driver.Lister
	driver.Random
}

// A Driver is a Device with hooks. A hook that is not nil is called in place of the method
// or, for OnInfo and OnOpenKey, with the method's result. The hooks are set before the
// driver is used.
type Driver struct {
	Device
	// OnInfo changes a copy of the device's Info.
	OnInfo        func(*driver.Info)
	OnGenerateKey func(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error)
	// OnOpenKey returns what OpenKey returns for a key that the device has opened.
	OnOpenKey    func(driver.Key) driver.Key
	OnDestroyKey func(ctx context.Context, id driver.MaterialID, blob driver.Blob) error
	OnRandom     func(p []byte) error
}

// Info returns the device's Info, changed by OnInfo.
func (d *Driver) Info() driver.Info {
	info := d.Device.Info()
	if d.OnInfo != nil {
		info.Specs = slices.Clone(info.Specs)
		d.OnInfo(&info)
	}
	return info
}

// GenerateKey calls OnGenerateKey or the device.
func (d *Driver) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	if d.OnGenerateKey != nil {
		return d.OnGenerateKey(ctx, id, spec)
	}
	return d.Device.GenerateKey(ctx, id, spec)
}

// OpenKey opens the key in the device and passes it to OnOpenKey.
func (d *Driver) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	key, err := d.Device.OpenKey(ctx, id, spec, blob)
	if err != nil || d.OnOpenKey == nil {
		return key, err
	}
	return d.OnOpenKey(key), nil
}

// DestroyKey calls OnDestroyKey or the device.
func (d *Driver) DestroyKey(ctx context.Context, id driver.MaterialID, blob driver.Blob) error {
	if d.OnDestroyKey != nil {
		return d.OnDestroyKey(ctx, id, blob)
	}
	return d.Device.DestroyKey(ctx, id, blob)
}

// Random calls OnRandom or the device.
func (d *Driver) Random(ctx context.Context, p []byte) error {
	if d.OnRandom != nil {
		return d.OnRandom(p)
	}
	return d.Device.Random(ctx, p)
}

// A PRF is a key whose PRF is a function.
type PRF struct {
	driver.Key
	OnPRF func(ctx context.Context, dst, input []byte) ([]byte, error)
}

// PRF calls OnPRF.
func (k PRF) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	return k.OnPRF(ctx, dst, input)
}

// A Decrypter is a key whose Decrypt is a function.
type Decrypter struct {
	driver.Key
	OnDecrypt func(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error)
}

// Decrypt calls OnDecrypt.
func (k Decrypter) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	return k.OnDecrypt(ctx, dst, alg, ciphertext)
}
