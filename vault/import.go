package vault

import (
	"cmp"
	"fmt"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/unwrap"
)

// A WrappingAlgorithm is an algorithm that wraps key material for import.
type WrappingAlgorithm string

// The wrapping algorithms. Symmetric material can be wrapped by any of them, and a private
// key, as PKCS #8 DER, by those of RSA_AES_KEY_WRAP. The FIPS edition does not allow PKCS
// #1 v1.5, SHA-1 and SM2.
//
// OAEP is used without a label, and with the same hash for OAEP and for MGF1. Some
// libraries have other defaults: Java uses SHA-1 for MGF1 with every hash of OAEP. In Java,
// pass OAEPParameterSpec("SHA-256", "MGF1", MGF1ParameterSpec.SHA256,
// PSource.PSpecified.DEFAULT).
const (
	WrapRSAESPKCS1V15   WrappingAlgorithm = "RSAES_PKCS1_V1_5"
	WrapRSAESOAEPSHA1   WrappingAlgorithm = "RSAES_OAEP_SHA_1"
	WrapRSAESOAEPSHA256 WrappingAlgorithm = "RSAES_OAEP_SHA_256"
	// WrapRSAAESSHA1 and WrapRSAAESSHA256 are CKM_RSA_AES_KEY_WRAP: a fresh AES key of 32
	// bytes (16 and 24 are accepted too), encrypted by OAEP with that hash to 256 bytes,
	// followed by the material wrapped under the AES key by AES-KWP (RFC 5649).
	WrapRSAAESSHA1   WrappingAlgorithm = "RSA_AES_KEY_WRAP_SHA_1"
	WrapRSAAESSHA256 WrappingAlgorithm = "RSA_AES_KEY_WRAP_SHA_256"
	// WrapSM2 is SM2 encryption with the ciphertext in ASN.1, C1 C3 C2 (GM/T 0009).
	WrapSM2 WrappingAlgorithm = "SM2_C1C3C2_ASN1"
)

// An ImportPath is the place where imported material is unwrapped.
type ImportPath string

// The paths.
const (
	// PathAuto selects PathDevice if the CMK's driver can unwrap with the algorithm, and
	// PathHost otherwise. If the request names no algorithm for a private key, the vault
	// prefers one that the device unwraps.
	PathAuto ImportPath = "AUTO"
	// PathDevice: inside the device. The host never sees the material.
	PathDevice ImportPath = "DEVICE"
	// PathHost: in this process, in locked memory.
	PathHost ImportPath = "HOST"
)

// wrapRow is one wrapping algorithm.
type wrapRow struct {
	alg     WrappingAlgorithm
	code    byte // code in the import token
	key     KeySpec
	seam    driver.WrapAlg      // name in drivers and in package unwrap
	host    driver.EncryptAlg   // decryption that unwrapping in the host uses
	private bool                // can wrap private keys
	parts   []WrappingAlgorithm // component algorithms that an edition may exclude
}

// wrapTable lists the wrapping algorithms. The first that fits a CMK and a wrapping key is
// the default. A code is never reused.
var wrapTable = []wrapRow{
	{WrapRSAESOAEPSHA256, 1, RSA2048, driver.WrapRSAOAEPSHA256, driver.RSAOAEPSHA256, false, nil},
	{WrapRSAAESSHA256, 2, RSA2048, unwrap.RSAAESKWPSHA256, driver.RSAOAEPSHA256, true, nil},
	{WrapRSAESOAEPSHA1, 3, RSA2048, driver.WrapRSAOAEPSHA1, driver.RSAOAEPSHA1, false, nil},
	{WrapRSAAESSHA1, 4, RSA2048, driver.WrapRSAAESKWP, driver.RSAOAEPSHA1, true, []WrappingAlgorithm{WrapRSAESOAEPSHA1}},
	{WrapRSAESPKCS1V15, 5, RSA2048, unwrap.RSAPKCS1, driver.RSARaw, false, nil},
	{WrapSM2, 6, SM2, driver.WrapSM2, driver.SM2ASN1, false, nil},
}

// chooseWrap returns the rows that satisfy a request, in order of preference. If the error
// is nil there is at least one.
func chooseWrap(r ImportRequest, spec driver.KeySpec, e Edition) (rows []wrapRow, err error) {
	if r.WrappingKeySpec == "" && r.Algorithm == "" {
		r.WrappingKeySpec = RSA2048
	}
	for _, row := range wrapTable {
		named := (r.Algorithm == "" || r.Algorithm == row.alg) && (r.WrappingKeySpec == "" || r.WrappingKeySpec == row.key)
		if !named || r.Algorithm == "" && row.private == symmetric(spec) {
			continue
		}
		if !symmetric(spec) && !row.private {
			return nil, invalid("a private key is wrapped by %s or %s", WrapRSAAESSHA256, WrapRSAAESSHA1)
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
	return nil, cmp.Or(err, invalid("no wrapping algorithm %.80q with a wrapping key %.80q for %s", r.Algorithm, r.WrappingKeySpec, spec))
}

// excluded returns an error if an edition does not allow the algorithm or a part of it.
func (r wrapRow) excluded(e Edition) error {
	for _, part := range slices.Concat(r.parts, []WrappingAlgorithm{r.alg}) {
		if err := excluded(e, part); err != nil {
			return err
		}
	}
	return nil
}

// symmetric reports whether material is raw bytes, not PKCS #8.
func symmetric(spec driver.KeySpec) bool { return spec.Usage == driver.Derive }

// materialSize returns the required length of symmetric material in bytes: 32, or 16 for an
// SM4 key of a CMK that encrypts in the SM edition. It returns 0 for private keys.
func materialSize(k Key, spec driver.KeySpec, e Edition) int {
	switch {
	case !symmetric(spec):
		return 0
	case k.Spec == Symmetric && e == SM:
		return 16
	}
	return 32
}

// choosePath returns the row and the path of a request.
func choosePath(asked ImportPath, d driver.Driver, spec driver.KeySpec, rows []wrapRow) (wrapRow, ImportPath, error) {
	inside := slices.IndexFunc(rows, func(row wrapRow) bool { return unwraps(d, spec, row) })
	switch asked {
	case "", PathAuto:
		// The algorithm for symmetric material is documented and does not depend on the
		// device.
		if inside == 0 || inside > 0 && !symmetric(spec) {
			return rows[inside], PathDevice, nil
		}
		return rows[0], PathHost, nil
	case PathHost:
		return rows[0], PathHost, nil
	case PathDevice:
		if inside >= 0 {
			return rows[inside], PathDevice, nil
		}
		return wrapRow{}, "", fmt.Errorf("%w: path %s: %s", ErrUnsupported, PathDevice, lacks(d, spec, rows))
	}
	return wrapRow{}, "", invalid("path %.80q is none of %s, %s and %s", asked, PathAuto, PathDevice, PathHost)
}

// unwraps reports whether the CMK's driver can unwrap with the algorithm inside its device.
func unwraps(d driver.Driver, spec driver.KeySpec, row wrapRow) bool {
	can, _ := d.Info().Find(spec)
	_, able := d.(driver.WrappedImporter)
	return able && slices.Contains(can.WrappedImport, row.seam)
}

// lacks returns the reason why a driver cannot unwrap material of a spec inside its device
// with any of the rows.
func lacks(d driver.Driver, spec driver.KeySpec, rows []wrapRow) string {
	info := d.Info()
	can, _ := info.Find(spec)
	if _, able := d.(driver.WrappedImporter); !able {
		return fmt.Sprintf("the %s driver unwraps nothing inside its device", info.Name)
	}
	if len(can.WrappedImport) == 0 {
		return fmt.Sprintf("the %s driver does not unwrap %s inside its device by any algorithm", info.Name, spec)
	}
	var asked []WrappingAlgorithm
	for _, row := range rows {
		asked = append(asked, row.alg)
	}
	return fmt.Sprintf("the %s driver unwraps %s inside its device by %s alone, and not by %s", info.Name, spec, can.WrappedImport, asked)
}

// importable reports whether a driver can import material of a spec.
func importable(d driver.Driver, spec driver.KeySpec) bool {
	can, _ := d.Info().Find(spec)
	_, able := d.(driver.Importer)
	return can.Import && able || len(can.WrappedImport) > 0
}
