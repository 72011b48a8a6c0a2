package drivertest

import (
	"context"
	"reflect"
	"slices"

	"strongroom.example/driver"
)

// known returns every spec that package driver defines.
func known() []driver.KeySpec {
	list := []driver.KeySpec{{Algorithm: driver.SM2, Usage: driver.Unwrap}}
	for _, alg := range symmetric() {
		list = append(list, driver.KeySpec{Algorithm: alg, Usage: driver.Derive})
	}
	for _, alg := range asymmetric() {
		list = append(list, driver.KeySpec{Algorithm: alg, Usage: driver.Sign})
		if encryptAlgs(alg) != nil {
			list = append(list, driver.KeySpec{Algorithm: alg, Usage: driver.Decrypt})
		}
		if alg.ModulusBits() != 0 {
			list = append(list, driver.KeySpec{Algorithm: alg, Usage: driver.Unwrap})
		}
	}
	return list
}

func symmetric() []driver.KeyAlgorithm {
	return []driver.KeyAlgorithm{driver.HMACSHA256, driver.HMACSM3, driver.HMACSHA224, driver.HMACSHA384, driver.HMACSHA512}
}

func asymmetric() []driver.KeyAlgorithm {
	return []driver.KeyAlgorithm{driver.RSA2048, driver.RSA3072, driver.RSA4096,
		driver.ECP256, driver.ECP384, driver.ECP521, driver.Ed25519, driver.SM2}
}

// crossed returns each algorithm under each usage, sensible or not, and undefined
// algorithms.
func crossed() []driver.KeySpec {
	list := []driver.KeySpec{{}, {Algorithm: "ROT_13", Usage: driver.Derive}, {Algorithm: driver.HMACSHA256, Usage: "GUESS"}}
	algs := append(asymmetric(), symmetric()...)
	for _, alg := range algs {
		for _, usage := range []driver.Usage{driver.Derive, driver.Sign, driver.Decrypt, driver.Unwrap} {
			list = append(list, driver.KeySpec{Algorithm: alg, Usage: usage})
		}
	}
	return list
}

// capabilityTable checks that Info is well-formed and agrees with the Go types.
func capabilityTable(t tb, s *subject) {
	info := s.Info()
	if !reflect.DeepEqual(info, s.Driver.Info()) {
		t.Errorf("two calls of Info returned different values")
	}
	if info.Name == "" {
		t.Errorf("Info.Name is empty")
	}
	if !slices.Contains([]driver.ProtectionLevel{driver.LevelHSM, driver.LevelTPM, driver.LevelSoftware}, info.Level) {
		t.Errorf("Info.Level is %q, which is not a protection level", info.Level)
	}
	seen := make(map[driver.KeySpec]bool)
	for _, row := range info.Specs {
		if seen[row.Spec] {
			t.Errorf("%v is listed twice", row.Spec)
		}
		seen[row.Spec] = true
		tableRow(t, s, row)
	}
	optionalFlags(t, s.Driver, info)
}

// tableRow checks one row. A key of the spec must implement the interface of its usage.
func tableRow(t tb, s *subject, row driver.SpecInfo) {
	spec := row.Spec
	if !slices.Contains(known(), spec) {
		t.Errorf("Info lists %v, which is not a spec of package driver", spec)
	}
	if (spec.Usage == driver.Sign) != (len(row.Sign) > 0) || !subset(row.Sign, spec.Algorithm.SignAlgs()) {
		t.Errorf("%v lists signature algorithms %v", spec, row.Sign)
	}
	if (spec.Usage == driver.Decrypt) != (len(row.Decrypt) > 0) || !subset(row.Decrypt, encryptAlgs(spec.Algorithm)) {
		t.Errorf("%v lists encryption algorithms %v", spec, row.Decrypt)
	}
	if _, ok := s.Driver.(driver.Importer); row.Import && !ok {
		t.Errorf("%v lists Import, but the driver does not implement Importer", spec)
	}
	if _, ok := s.Driver.(driver.WrappedImporter); len(row.WrappedImport) > 0 && !ok {
		t.Errorf("%v lists WrappedImport, but the driver does not implement WrappedImporter", spec)
	}
	if _, checked := s.info.Find(spec); checked && spec.Usage != driver.Unwrap {
		works(t, s.Driver, s.key(t, row), "advertised")
	}
}

func subset[E comparable](part, whole []E) bool {
	return !slices.ContainsFunc(part, func(e E) bool { return !slices.Contains(whole, e) })
}

func optionalFlags(t tb, d driver.Driver, info driver.Info) {
	if _, ok := d.(driver.Lister); info.Lister && !ok {
		t.Errorf("Info.Lister is set, but the driver does not implement Lister")
	}
	if _, ok := d.(driver.Random); info.Random && !ok {
		t.Errorf("Info.Random is set, but the driver does not implement Random")
	}
	if _, ok := d.(driver.Counter); info.Counter && !ok {
		t.Errorf("Info.Counter is set, but the driver does not implement Counter")
	}
}

// unadvertisedIsUnsupported checks that everything that Info does not list is
// Unsupported.
func unadvertisedIsUnsupported(t tb, s *subject) {
	ctx := context.Background()
	info := s.Driver.Info()
	importer, imports := s.Driver.(driver.Importer)
	for _, spec := range crossed() {
		row, advertised := info.Find(spec)
		if !advertised {
			_, err := s.GenerateKey(ctx, freshID(), spec)
			wantClass(t, err, "GenerateKey of "+spec.String(), driver.Unsupported)
			_, err = s.OpenKey(ctx, freshID(), spec, nil)
			wantClass(t, err, "OpenKey of "+spec.String(), driver.Unsupported)
		}
		if imports && !row.Import {
			_, err := importer.ImportKey(ctx, freshID(), spec, make([]byte, 32))
			wantClass(t, err, "ImportKey of "+spec.String(), driver.Unsupported)
		}
	}
	wrappingUnadvertised(t, s, info)
}

func wrappingUnadvertised(t tb, s *subject, info driver.Info) {
	importer, ok := s.Driver.(driver.WrappedImporter)
	if !ok {
		return
	}
	for _, spec := range crossed() {
		if _, ok := info.Find(spec); spec.Usage != driver.Unwrap || ok {
			continue
		}
		_, err := importer.GenerateWrappingKey(context.Background(), freshID(), spec.Algorithm)
		wantClass(t, err, "GenerateWrappingKey of "+string(spec.Algorithm), driver.Unsupported)
	}
}
