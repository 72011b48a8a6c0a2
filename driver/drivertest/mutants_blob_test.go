package drivertest

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// blobMutants returns faults of blobs. They are built over the software engine, because a
// Memory has no blobs.
func blobMutants() []mutant {
	return []mutant{
		softMutant(mutant{name: "blob of another id opens", caught: []string{"BlobOfOtherKeyRefused"}},
			func(d *soft.Driver) unnamed { return unnamed{d} }),
		softMutant(mutant{name: "blob of another spec opens", caught: []string{"BlobOfOtherSpecRefused"}},
			func(d *soft.Driver) anySpec { return anySpec{d} }),
		softMutant(mutant{name: "blob opens with a byte flipped", caught: []string{"BlobFlipped"}},
			func(d *soft.Driver) slack { return slack{d} }),
		softMutant(mutant{name: "blob shows the material", caught: []string{"BlobHidesMaterial"}},
			func(d *soft.Driver) clearBlob { return clearBlob{d} }),
		softMutant(mutant{name: "OpenKey wipes the caller's blob", caught: []string{"InputNotModified"}},
			func(d *soft.Driver) blobWiper { return blobWiper{d} }),
	}
}

// unnamed does not bind blobs to an id.
type unnamed struct{ *soft.Driver }

func (d unnamed) GenerateKey(ctx context.Context, _ driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	return d.Driver.GenerateKey(ctx, driver.MaterialID{}, spec)
}

func (d unnamed) ImportKey(ctx context.Context, _ driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	return d.Driver.ImportKey(ctx, driver.MaterialID{}, spec, in)
}

func (d unnamed) OpenKey(ctx context.Context, _ driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	return d.Driver.OpenKey(ctx, driver.MaterialID{}, spec, blob)
}

// anySpec opens a blob under any spec.
type anySpec struct{ *soft.Driver }

func (d anySpec) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	opened, err := d.Driver.OpenKey(ctx, id, spec, blob)
	for _, row := range d.Info().Specs {
		if errors.Is(err, driver.Authentic) {
			opened, err = d.Driver.OpenKey(ctx, id, row.Spec, blob)
		}
	}
	return opened, err
}

// slack appends a byte to a blob that it does not authenticate.
type slack struct{ *soft.Driver }

func (d slack) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	created, err := d.Driver.GenerateKey(ctx, id, spec)
	created.Blob = append(created.Blob, 0)
	return created, err
}

func (d slack) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	created, err := d.Driver.ImportKey(ctx, id, spec, in)
	created.Blob = append(created.Blob, 0)
	return created, err
}

func (d slack) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	return d.Driver.OpenKey(ctx, id, spec, blob[:max(0, len(blob)-1)])
}

// clearBlob appends the material and its length to the blob in the clear.
type clearBlob struct{ *soft.Driver }

func (d clearBlob) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	created, err := d.Driver.GenerateKey(ctx, id, spec)
	created.Blob = append(created.Blob, 0, 0)
	return created, err
}

func (d clearBlob) ImportKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, in []byte) (driver.Created, error) {
	created, err := d.Driver.ImportKey(ctx, id, spec, in)
	created.Blob = binary.BigEndian.AppendUint16(slices.Concat(created.Blob, in), uint16(len(in)))
	return created, err
}

func (d clearBlob) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	if n := len(blob) - 2; n >= 0 {
		blob = blob[:max(0, n-int(binary.BigEndian.Uint16(blob[n:])))]
	}
	return d.Driver.OpenKey(ctx, id, spec, blob)
}

type blobWiper struct{ *soft.Driver }

func (d blobWiper) OpenKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, blob driver.Blob) (driver.Key, error) {
	own := slices.Clone(blob)
	opened, err := d.Driver.OpenKey(ctx, id, spec, own)
	if err == nil {
		clear(blob)
	}
	return opened, err
}
