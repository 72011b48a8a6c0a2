package drivertest

import (
	"context"
	"fmt"
	"slices"

	"strongroom.example/driver"
)

// wrappedImportLength imports symmetric material of a wrong length for the spec, by each
// algorithm that is listed for it.
func wrappedImportLength(t tb, s *subject) {
	eachWrapping(t, s, func(d driver.WrappedImporter, w wrapping) {
		for _, row := range slices.Concat(s.rows(driver.Derive), s.rows(driver.Seal)) {
			for _, n := range []int{1, 16, 24, 31, 33, 40, 48, 64, 65, 128} {
				if !slices.Contains(materialSizes(row.Spec.Algorithm), n) {
					wrongLength(t, s, key{row: row}, w, randomBytes(n))
				}
			}
		}
	})
}

// wrongLength imports material of one wrong length. Longer material must be rejected,
// because the truncated key would be one that its owner has nowhere else. Shorter
// material may be padded with zeros only if that is the same key, as in HMAC.
func wrongLength(t tb, s *subject, k key, w wrapping, material []byte) {
	t.Helper()
	for _, alg := range k.row.WrappedImport {
		ciphertext, ok := wrap(w.public, alg, material)
		if !ok {
			continue
		}
		k.id = freshID()
		var err error
		k.created, err = s.Driver.(driver.WrappedImporter).ImportWrapped(context.Background(), k.id, k.row.Spec,
			driver.Wrapped{With: w.opened, Alg: alg, Ciphertext: ciphertext})
		if err == nil && len(material) < 32 && k.row.Spec.Usage == driver.Derive {
			prfAnswers(t, openKey[driver.PRF](t, s.Driver, k), k, material)
			s.discard(t, k)
			continue
		}
		wantClass(t, err, fmt.Sprintf("%v: %s: material of %d bytes", k.row.Spec, alg, len(material)), driver.Authentic, driver.Invalid)
	}
}
