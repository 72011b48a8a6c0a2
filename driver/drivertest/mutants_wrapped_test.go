package drivertest

import (
	"context"
	"errors"

	"strongroom.example/driver"
)

func wrappedMutants() []mutant {
	return []mutant{
		{name: "ImportWrapped makes a key of its own", open: func() driver.Driver { return forging{wrappingMemory()} },
			caught: []string{"WrappedImportRoundTrip"}},
		{name: "ImportWrapped tells a wrong length from wrong content", open: func() driver.Driver { return tellingImporter{wrappingMemory()} },
			caught: []string{"WrappedImportFaultAuthentic"}},
		{name: "ImportWrapped takes material of any length", open: func() driver.Driver { return stretching{wrappingMemory()} },
			caught: []string{"WrappedImportLength"}},
		{name: "ImportWrapped reaches the device after its context ended", open: func() driver.Driver { return lateImporter{wrappingMemory()} },
			caught: []string{"CanceledNeverReachesDevice"}},
	}
}

func wrappingMemory() *Memory {
	return NewMemory(spec(driver.HMACSHA256, driver.Derive), spec(driver.RSA2048, driver.Unwrap))
}

type forging struct{ *Memory }

func (d forging) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	if created, err := d.Memory.ImportWrapped(ctx, freshID(), spec, w); err != nil {
		return created, err
	}
	return d.GenerateKey(ctx, id, spec)
}

type tellingImporter struct{ *Memory }

func (d tellingImporter) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	created, err := d.Memory.ImportWrapped(ctx, id, spec, w)
	if errors.Is(err, driver.Authentic) && len(w.Ciphertext) != 256 {
		err = failure("ImportWrapped", driver.Invalid, errLength)
	}
	return created, err
}

type stretching struct{ *Memory }

func (d stretching) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	created, err := d.Memory.ImportWrapped(ctx, id, spec, w)
	if errors.Is(err, driver.Invalid) && len(w.Ciphertext) == 256 {
		return d.GenerateKey(ctx, id, spec)
	}
	return created, err
}

type lateImporter struct{ *Memory }

func (d lateImporter) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	return d.Memory.ImportWrapped(context.WithoutCancel(ctx), id, spec, w)
}
