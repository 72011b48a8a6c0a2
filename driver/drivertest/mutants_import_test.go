package drivertest

import (
	"context"
	"encoding/hex"
	"sync"

	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/driver"
)

func importMutants() []mutant {
	return []mutant{
		{name: "ImportKey keeps the caller's slice", open: over(func(m *Memory) *lazy { return &lazy{Memory: m, later: make(map[driver.MaterialID][]byte)} }),
			caught: []string{"ImportRoundTrip"}},
		{name: "ImportKey pads short material", open: over(func(m *Memory) padding { return padding{m} }),
			caught: []string{"ImportWrongLength"}},
		{name: "ImportKey takes a key whose parts contradict each other", open: over(func(m *Memory) trusting { return trusting{m} }),
			caught: []string{"ImportContradiction"}},
		{name: "ImportKey again is an error", open: over(func(m *Memory) importOnce { return importOnce{m} }),
			caught: []string{"ImportRepeatable"}},
		{name: "attributes show the material", open: over(func(m *Memory) showing { return showing{m} }),
			caught: []string{"BlobHidesMaterial"}},
		{name: "ImportKey wipes the caller's material", open: over(func(m *Memory) wipingImporter { return wipingImporter{m} }),
			caught: []string{"InputNotModified"}},
	}
}

// A lazy importer copies the material only when the key is first opened.
type lazy struct {
	*Memory
	mu    sync.Mutex
	later map[driver.MaterialID][]byte
}

func (d *lazy) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	created, err := d.Memory.ImportKey(ctx, id, spec, in)
	if err == nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.later[id] = in
	}
	return created, err
}

func (d *lazy) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	d.mu.Lock()
	in := d.later[id]
	delete(d.later, id)
	d.mu.Unlock()
	if in != nil {
		if err := d.DestroyKey(ctx, id, nil); err != nil {
			return nil, err
		}
		if _, err := d.Memory.ImportKey(ctx, id, spec, in); err != nil {
			return nil, err
		}
	}
	return d.Memory.OpenKey(ctx, id, spec, blob)
}

type padding struct{ *Memory }

func (d padding) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	if spec.Algorithm.Symmetric() {
		in = resized(in, 32)
	}
	return d.Memory.ImportKey(ctx, id, spec, in)
}

// A trusting importer accepts the private number with any public key beside it, as the
// parsers of the standard library and of gmsm do.
type trusting struct{ *Memory }

func (d trusting) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	if key, err := smx509.ParsePKCS8PrivateKey(in); err == nil {
		if again, err := smx509.MarshalPKCS8PrivateKey(key); err == nil && len(again) == len(in) {
			in = again
		}
	}
	return d.Memory.ImportKey(ctx, id, spec, in)
}

type importOnce struct{ *Memory }

func (d importOnce) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	if ctx.Err() == nil && d.has(id) {
		return driver.Created{}, failure("ImportKey", driver.Invalid, errOther)
	}
	return d.Memory.ImportKey(ctx, id, spec, in)
}

type showing struct{ *Memory }

func (d showing) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	created, err := d.Memory.ImportKey(ctx, id, spec, in)
	if err == nil {
		created.Attributes["value"] = hex.EncodeToString(in)
	}
	return created, err
}

type wipingImporter struct{ *Memory }

func (d wipingImporter) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	defer clear(in)
	return d.Memory.ImportKey(ctx, id, spec, in)
}
