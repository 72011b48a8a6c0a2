package drivertest

import (
	"context"
	"slices"
	"sync/atomic"

	"strongroom.example/driver"
)

func tableMutants() []mutant {
	return []mutant{
		{name: "lists a spec that it cannot do", open: over(func(m *Memory) boasting { return boasting{m} }),
			caught: []string{"CapabilityTable"}},
		{name: "does a spec that it does not list", open: over(func(m *Memory) modest { return modest{m} }),
			caught: []string{"UnadvertisedIsUnsupported"}},
		{name: "Info changes", open: over(func(m *Memory) fickle { return fickle{m, new(atomic.Int64)} }),
			caught: []string{"CapabilityTable"}},
		{name: "public half in another form", open: over(func(m *Memory) bareKey { return bareKey{m} }),
			caught: []string{"PublicDERMatches"}},
		{name: "public half of another key", open: over(func(m *Memory) strangePublic { return strangePublic{m} }),
			caught: []string{"SignVerifiesInStdlib", "DecryptRoundTrip"}},
	}
}

type boasting struct{ *Memory }

func (d boasting) Info() driver.Info {
	info := d.Memory.Info()
	info.Specs = append(slices.Clone(info.Specs), driver.SpecInfo{
		Spec: spec(driver.ECP384, driver.Sign), Sign: []driver.SignAlg{driver.ECDSASHA384}})
	return info
}

type modest struct{ *Memory }

func (d modest) Info() driver.Info {
	info := d.Memory.Info()
	info.Specs = info.Specs[1:]
	return info
}

type fickle struct {
	*Memory
	asked *atomic.Int64
}

func (d fickle) Info() driver.Info {
	info := d.Memory.Info()
	info.Counter = d.asked.Add(1)%2 == 0
	return info
}

// A bareKey returns public keys without their first byte.
type bareKey struct{ *Memory }

func (d bareKey) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	created, err := d.Memory.GenerateKey(ctx, id, spec)
	if len(created.PublicDER) > 0 {
		created.PublicDER = created.PublicDER[1:]
	}
	return created, err
}

type strangePublic struct{ *Memory }

func (d strangePublic) GenerateKey(ctx context.Context, id driver.MaterialID, spec driver.KeySpec) (driver.Created, error) {
	created, err := d.Memory.GenerateKey(ctx, id, spec)
	if err != nil || spec.Algorithm.Symmetric() {
		return created, err
	}
	other, err := generate(spec.Algorithm)
	if err == nil {
		created.PublicDER, err = other.public()
	}
	return created, err
}
