package vault

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"strongroom.example/driver"
	"strongroom.example/internal/pkcs8"
	"strongroom.example/keystore"
)

// version is a stored key version.
type version struct {
	KeyVersion
	// Material is the material's id. It is empty while imported material is deleted.
	Material  string              `json:"material"`
	Algorithm driver.KeyAlgorithm `json:"algorithm"`
	DeviceUse driver.Usage        `json:"use"`
	// Public is the public half as SubjectPublicKeyInfo in DER.
	Public []byte `json:"public,omitempty"`
	// Check is the check value of a symmetric key in a device; see keyCheck. Records of
	// earlier versions of this package have none.
	Check []byte `json:"check,omitempty"`
}

// spec returns the spec of the material in the driver.
func (v version) spec() driver.KeySpec {
	return driver.KeySpec{Algorithm: v.Algorithm, Usage: v.DeviceUse}
}

// material returns the id of the version's material.
func (v version) material() (id driver.MaterialID, err error) {
	b, err := hex.DecodeString(v.Material)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%w: material id of key %s version %d", ErrCorrupt, v.Key, v.Number)
	}
	copy(id[:], b)
	return id, nil
}

// newVersion describes version n of CMK k, to be made on k's driver.
func (v *Vault) newVersion(k Key, n uint32, now time.Time) (version, error) {
	d, err := v.driver(k.Driver)
	if err != nil {
		return version{}, err
	}
	row, err := chooseSpec(k.Spec, k.Usage, v.cfg.Edition)
	if err != nil {
		return version{}, err
	}
	spec, info := row.device(v.suite), d.Info()
	can, ok := info.Find(spec)
	if !ok {
		return version{}, fmt.Errorf("%w: driver %q has no %s", ErrUnsupported, k.Driver, spec)
	}
	ver := version{
		KeyVersion: KeyVersion{Key: k.ID, Number: n, Created: now, Origin: k.Origin, Residence: Wrapped, Level: driver.LevelSoftware, Driver: k.Driver, Provenance: ProvenanceVault},
		Algorithm:  spec.Algorithm, DeviceUse: spec.Usage,
	}
	if k.Origin == OriginExternal && !importable(d, spec) {
		return version{}, fmt.Errorf("%w: driver %q does not import %s", ErrUnsupported, k.Driver, spec)
	}
	if can.Resident {
		ver.Residence, ver.Level, ver.Provenance = Resident, info.Level, ProvenanceDevice
	}
	if k.Origin == OriginExternal {
		ver.Provenance = ProvenanceImported
	}
	ver.Material = driver.MaterialID(v.hedge.id()).String()
	return ver, v.checkLevel(k.MinLevel, ver)
}

// restrict limits the version's signature algorithms to those that an imported key allows.
// The restriction remains if the same material is later imported without it. restrict
// returns a *pkcs8.Error if no algorithm is left.
func (v *version) restrict(p *pkcs8.PSS) error {
	if p == nil {
		return nil
	}
	var allowed []SignAlgorithm
	for _, r := range signTable {
		if r.spec == KeySpec(v.Algorithm) && v.signs(r.alg) && p.Allows(r.device) {
			allowed = append(allowed, r.alg)
		}
	}
	if allowed == nil {
		return &pkcs8.Error{Fault: fmt.Sprintf("the RSA key is restricted to RSASSA-PSS with %s, and the CMK to %s since its first import", p, v.SignAlgorithms)}
	}
	v.SignAlgorithms = allowed
	return nil
}

// signs reports whether the version's material may sign with alg.
func (v version) signs(alg SignAlgorithm) bool {
	return v.SignAlgorithms == nil || slices.Contains(v.SignAlgorithms, alg)
}

// narrow returns the row with which the version signs: row, or if the caller named no
// algorithm, the first that the material allows.
func (v version) narrow(row signRow, asked SignAlgorithm) (signRow, error) {
	switch {
	case v.signs(row.alg):
		return row, nil
	case asked == "":
		return chooseSign(row.spec, v.SignAlgorithms[0])
	}
	return row, fmt.Errorf("%w: the imported key is restricted to %s", ErrUnsupported, v.SignAlgorithms)
}

// keepVersion stores a key version with its material.
func keepVersion(tx *keystore.Tx, ver version, made madeKey) error {
	id, err := ver.material()
	if err != nil {
		return err
	}
	ver.Attributes, ver.Public, ver.Check = made.Attributes, made.PublicDER, made.check
	tx.Put(versionPath(ver.Key, ver.Number), encode(ver))
	tx.PutMaterial(materialPath(id), made.Blob)
	return nil
}
