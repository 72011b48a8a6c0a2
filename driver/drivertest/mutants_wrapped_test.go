package drivertest

import (
	"context"
	"crypto/rsa"
	"errors"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/keywrap"
)

func wrappedMutants() []mutant {
	return []mutant{
		{name: "ImportWrapped makes a key of its own", open: func() driver.Driver { return forging{wrappingMemory()} },
			caught: []string{"WrappedImportRoundTrip"}},
		{name: "ImportWrapped tells a wrong length from wrong content", open: func() driver.Driver { return tellingImporter{wrappingMemory()} },
			caught: []string{"WrappedImportFaultAuthentic"}},
		{name: "ImportWrapped takes material of any length", open: func() driver.Driver { return stretching{wrappingMemory()} },
			caught: []string{"WrappedImportLength"}},
		{name: "ImportWrapped takes private keys that do not compute", open: func() driver.Driver { return credulous{privateWrapping()} },
			caught: []string{"WrappedImportContradiction"}},
		{name: "ImportWrapped reaches the device after its context ended", open: func() driver.Driver { return lateImporter{wrappingMemory()} },
			caught: []string{"CanceledNeverReachesDevice"}},
	}
}

func wrappingMemory() *Memory {
	return NewMemory(spec(driver.HMACSHA256, driver.Derive), spec(driver.RSA2048, driver.Unwrap))
}

// A wrappedPrivate is a Memory that also unwraps private keys.
type wrappedPrivate struct{ *Memory }

func privateWrapping() wrappedPrivate {
	return wrappedPrivate{NewMemory(spec(driver.RSA2048, driver.Sign), spec(driver.RSA2048, driver.Decrypt), spec(driver.ECP256, driver.Sign), spec(driver.RSA2048, driver.Unwrap))}
}

func (d wrappedPrivate) Info() driver.Info {
	info := d.Memory.Info()
	info.Specs = slices.Clone(info.Specs)
	for i := range info.Specs {
		if usage := info.Specs[i].Spec.Usage; usage == driver.Sign || usage == driver.Decrypt {
			info.Specs[i].WrappedImport = []driver.WrapAlg{driver.WrapRSAAESKWP, driver.WrapRSAAESKWPSHA256}
		}
	}
	return info
}

// ImportWrapped unwraps in two steps.
func (d wrappedPrivate) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	with, ok := w.With.(memoryKey)
	if !ok || !w.Alg.TwoSteps() {
		return d.Memory.ImportWrapped(ctx, id, spec, w)
	}
	if err := with.enter(ctx, "ImportWrapped"); err != nil {
		return driver.Created{}, err
	}
	defer with.leave()
	private := with.material.private.(*rsa.PrivateKey)
	refused := failure("ImportWrapped", driver.Authentic, errCiphertext)
	if len(w.Ciphertext) < private.Size() {
		return driver.Created{}, refused
	}
	hash := oaepHash(driver.RSAOAEPSHA1)
	if w.Alg == driver.WrapRSAAESKWPSHA256 {
		hash = oaepHash(driver.RSAOAEPSHA256)
	}
	inner, err := rsa.DecryptOAEP(hash, nil, private, w.Ciphertext[:private.Size()], nil)
	if err != nil {
		return driver.Created{}, refused
	}
	in, err := keywrap.Unwrap(nil, inner, w.Ciphertext[private.Size():])
	if err != nil {
		return driver.Created{}, refused
	}
	return d.Memory.ImportKey(ctx, id, spec, in)
}

// A credulous importer accepts everything that unwraps.
type credulous struct{ wrappedPrivate }

func (d credulous) ImportWrapped(ctx context.Context, id driver.MaterialID, spec driver.KeySpec, w driver.Wrapped) (driver.Created, error) {
	created, err := d.wrappedPrivate.ImportWrapped(ctx, id, spec, w)
	if errors.Is(err, driver.Invalid) {
		return d.GenerateKey(ctx, id, spec)
	}
	return created, err
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
