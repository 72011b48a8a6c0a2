package vault

import (
	"fmt"
	"slices"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/clock"
	"strongroom.example/internal/unwrap"
)

// importAsk is a validated request for import parameters. Its parameters have no token and
// no public key yet.
type importAsk struct {
	parameters ImportParameters
	row        wrapRow
	token      token
	issued     issuedToken
}

// detail returns the details for the audit record of the request.
func (a importAsk) detail() map[string]string {
	p := a.parameters
	return map[string]string{"algorithm": string(p.Algorithm), "path": string(p.Path), "validTo": p.ValidTo.Format(time.RFC3339)}
}

// askImport chooses algorithm and path, and sets the fields of the token.
func (v *Vault) askImport(t *target, r ImportRequest) (a importAsk, err error) {
	spec, err := v.deviceSpec(t.Key)
	if err != nil {
		return a, err
	}
	rows, err := chooseWrap(r, spec, v.cfg.Edition)
	if err != nil {
		return a, err
	}
	d, err := v.driver(t.Driver)
	if err != nil {
		return a, err
	}
	row, path, err := choosePath(r.Path, d, spec, rows)
	if err != nil {
		return a, err
	}
	a.row = row
	validTo := clock.Within(v.deadline.Now().Add(tokenLife)).Truncate(time.Second)
	id := driver.MaterialID(v.hedge.id())
	a.parameters = ImportParameters{
		PublicKey: PublicKey{Key: t.ID, Spec: a.row.key}, Algorithm: a.row.alg, ValidTo: validTo,
		MaterialSize: materialSize(t.Key, spec, v.cfg.Edition), Path: path,
	}
	a.token = token{serial: id, algorithm: a.row.code, single: r.SingleUse, validTo: validTo}
	a.token.key, _ = parseKeyID(t.ID)
	a.issued = issuedToken{
		Serial: id.String(), Driver: softDriver, Path: a.parameters.Path, Algorithm: a.row.alg, ValidTo: validTo, SingleUse: r.SingleUse,
	}
	a.issued.Spec, _ = unwrap.KeySpec(a.row.seam)
	if a.issued.Path == PathDevice {
		a.issued.Driver, a.issued.Spec.Usage = t.Driver, driver.Unwrap
	}
	if a.issued.Path == PathHost {
		_, err = v.hostImporter(d, spec, a.row)
	}
	return a, err
}

// hostImporter returns the driver as an Importer of material that the host unwraps.
func (v *Vault) hostImporter(d driver.Driver, spec driver.KeySpec, row wrapRow) (driver.Importer, error) {
	wrapping, _ := unwrap.KeySpec(row.seam)
	if can, _ := v.drivers[softDriver].Info().Find(wrapping); !slices.Contains(can.Decrypt, row.host) {
		return nil, fmt.Errorf("%w: this process does without %s (GODEBUG=fips140=only)", ErrUnsupported, row.alg)
	}
	can, _ := d.Info().Find(spec)
	importer, able := d.(driver.Importer)
	if !can.Import || !able {
		return nil, fmt.Errorf("%w: the driver takes material of %s by other wrapping algorithms only", ErrUnsupported, spec)
	}
	return importer, nil
}

// deviceSpec returns the spec of a CMK's material in the driver.
func (v *Vault) deviceSpec(k Key) (driver.KeySpec, error) {
	row, err := chooseSpec(k.Spec, k.Usage, v.cfg.Edition)
	return row.device(v.suite), err
}
