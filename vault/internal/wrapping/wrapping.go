// Package wrapping has the algorithms by which key material is wrapped for import, and the
// place where it is unwrapped.
package wrapping

import (
	"cmp"
	"fmt"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/unwrap"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/fault"
)

// The names that package vault gives to the algorithms, to the specs of wrapping keys and to
// the paths.
const (
	PKCS1      = "RSAES_PKCS1_V1_5"
	oaepSHA1   = "RSAES_OAEP_SHA_1"
	oaepSHA256 = "RSAES_OAEP_SHA_256"
	kwpSHA1    = "RSA_AES_KEY_WRAP_SHA_1"
	kwpSHA256  = "RSA_AES_KEY_WRAP_SHA_256"
	sm2ASN1    = "SM2_C1C3C2_ASN1"

	rsa2048 = "RSA_2048"
	sm2     = "SM2"

	Auto   = "AUTO"
	Device = "DEVICE"
	Host   = "HOST"
)

// A Row is one wrapping algorithm.
type Row struct {
	Algorithm string
	Code      byte              // in the import token
	Key       string            // key spec of the wrapping key
	DriverAlg driver.WrapAlg    // name in drivers and in package unwrap
	host      driver.EncryptAlg // decryption that unwrapping in the host uses
	Private   bool              // can wrap private keys
	parts     []string          // component algorithms that an edition may exclude
}

// Table lists the wrapping algorithms. The first that fits a CMK and a wrapping key is the
// default. A code is never reused.
var Table = []Row{
	{oaepSHA256, 1, rsa2048, driver.WrapRSAOAEPSHA256, driver.RSAOAEPSHA256, false, nil},
	{kwpSHA256, 2, rsa2048, unwrap.RSAAESKWPSHA256, driver.RSAOAEPSHA256, true, nil},
	{oaepSHA1, 3, rsa2048, driver.WrapRSAOAEPSHA1, driver.RSAOAEPSHA1, false, nil},
	{kwpSHA1, 4, rsa2048, driver.WrapRSAAESKWP, driver.RSAOAEPSHA1, true, []string{oaepSHA1}},
	{PKCS1, 5, rsa2048, unwrap.RSAPKCS1, driver.RSARaw, false, nil},
	{sm2ASN1, 6, sm2, driver.WrapSM2, driver.SM2ASN1, false, nil},
}

// Of returns the row with the given code. It returns false if there is none.
func Of(code byte) (Row, bool) {
	n := slices.IndexFunc(Table, func(r Row) bool { return r.Code == code })
	if n < 0 {
		return Row{}, false
	}
	return Table[n], true
}

// A Request selects rows. An empty field selects all.
type Request struct{ Algorithm, Key, Path string }

// Choose returns the rows that satisfy a request for material of a spec, in order of
// preference. If the error is nil there is at least one.
func Choose(r Request, spec driver.KeySpec, e driver.Edition) (rows []Row, err error) {
	if r.Key == "" && r.Algorithm == "" {
		r.Key = rsa2048
	}
	for _, row := range Table {
		named := (r.Algorithm == "" || r.Algorithm == row.Algorithm) && (r.Key == "" || r.Key == row.Key)
		// A device may unwrap symmetric material by the algorithms of private keys only.
		fits := row.Private != Symmetric(spec) || row.Private && r.Path == Device
		if !named || r.Algorithm == "" && !fits {
			continue
		}
		if !Symmetric(spec) && !row.Private {
			return nil, fault.Invalid("a private key must be wrapped by %s or %s", kwpSHA256, kwpSHA1)
		}
		if refused := row.excluded(e); refused != nil {
			err = cmp.Or(err, refused)
			continue
		}
		rows = append(rows, row)
	}
	if len(rows) > 0 {
		return rows, nil
	}
	return nil, cmp.Or(err, fault.Invalid("no wrapping algorithm %.80q with a wrapping key %.80q for %s", r.Algorithm, r.Key, spec))
}

// excluded returns an error if an edition does not allow the algorithm or a part of it.
func (r Row) excluded(e driver.Edition) error {
	for _, part := range slices.Concat(r.parts, []string{r.Algorithm}) {
		if err := editionrules.Excluded(e, part); err != nil {
			return err
		}
	}
	return nil
}

// Symmetric reports whether material is raw bytes, not PKCS #8.
func Symmetric(spec driver.KeySpec) bool { return spec.Usage == driver.Derive }

// ChoosePath returns the row and the path of a request. An empty path means Auto.
func ChoosePath(asked string, d driver.Driver, spec driver.KeySpec, rows []Row) (Row, string, error) {
	inside := slices.IndexFunc(rows, func(row Row) bool { return row.UnwrapsIn(d, spec) })
	switch asked {
	case "", Auto:
		// The algorithm for symmetric material is documented and does not depend on the
		// device.
		if inside == 0 || inside > 0 && !Symmetric(spec) {
			return rows[inside], Device, nil
		}
		return rows[0], Host, nil
	case Host:
		return rows[0], Host, nil
	case Device:
		if inside >= 0 {
			return rows[inside], Device, nil
		}
		return Row{}, "", fmt.Errorf("%w: path %s: %s", fault.ErrUnsupported, Device, lacks(d, spec, rows))
	}
	return Row{}, "", fault.Invalid("path %.80q is not %s, %s or %s", asked, Auto, Device, Host)
}
