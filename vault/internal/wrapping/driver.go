package wrapping

import (
	"fmt"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/unwrap"
	"strongroom.example/vault/internal/fault"
)

// UnwrapsIn reports whether a driver can unwrap material of a spec with the algorithm inside
// its device.
func (r Row) UnwrapsIn(d driver.Driver, spec driver.KeySpec) bool {
	can, _ := d.Info().Find(spec)
	_, able := d.(driver.WrappedImporter)
	return able && slices.Contains(can.WrappedImport, r.DriverAlg)
}

// lacks returns the reason why a driver cannot unwrap material of a spec inside its device
// with any of the rows.
func lacks(d driver.Driver, spec driver.KeySpec, rows []Row) string {
	info := d.Info()
	can, _ := info.Find(spec)
	if _, able := d.(driver.WrappedImporter); !able {
		return fmt.Sprintf("the %s driver does not unwrap inside its device", info.Name)
	}
	if len(can.WrappedImport) == 0 {
		return fmt.Sprintf("the %s driver does not unwrap %s inside its device", info.Name, spec)
	}
	var asked []string
	for _, row := range rows {
		asked = append(asked, row.Algorithm)
	}
	return fmt.Sprintf("the %s driver unwraps %s inside its device by %s only, not by %s", info.Name, spec, can.WrappedImport, asked)
}

// Importable reports whether a driver can import material of a spec.
func Importable(d driver.Driver, spec driver.KeySpec) bool {
	can, _ := d.Info().Find(spec)
	_, able := d.(driver.Importer)
	return can.Import && able || len(can.WrappedImport) > 0
}

// HostImporter returns a driver as an Importer of material of a spec that the host unwraps by
// engine, the software engine.
func (r Row) HostImporter(engine, d driver.Driver, spec driver.KeySpec) (driver.Importer, error) {
	key, _ := unwrap.KeySpec(r.DriverAlg)
	if can, _ := engine.Info().Find(key); !slices.Contains(can.Decrypt, r.host) {
		return nil, fmt.Errorf("%w: this process does not allow %s (GODEBUG=fips140=only)", fault.ErrUnsupported, r.Algorithm)
	}
	can, _ := d.Info().Find(spec)
	importer, able := d.(driver.Importer)
	if !can.Import || !able {
		return nil, fmt.Errorf("%w: the driver imports material of %s by other wrapping algorithms only", fault.ErrUnsupported, spec)
	}
	return importer, nil
}
