package drivertest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"slices"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/driver"
)

// A wrapping is an open wrapping key and its public key.
type wrapping struct {
	createdKey
	opened driver.Key
	public crypto.PublicKey
}

// eachWrapping runs a check with a key of each wrapping spec.
func eachWrapping(t tb, s *subject, run func(driver.WrappedImporter, wrapping)) {
	t.Helper()
	rows := s.rows(driver.Unwrap)
	importer, ok := s.Driver.(driver.WrappedImporter)
	if len(rows) > 0 && !ok {
		t.Fatalf("Info lists wrapping keys, but the driver does not implement WrappedImporter")
	}
	for _, row := range rows {
		w := wrapping{createdKey: createdKey{id: freshID(), row: row}}
		var err error
		if w.created, err = importer.GenerateWrappingKey(context.Background(), w.id, row.Spec.Algorithm); err != nil {
			t.Fatalf("%v: GenerateWrappingKey: %v", row.Spec, err)
		}
		if w.public, err = parsePublic(row.Spec.Algorithm, w.created.PublicDER); err != nil {
			t.Fatalf("%v: %v", row.Spec, err)
		}
		w.opened = openKey[driver.Key](t, s.Driver, w.createdKey)
		run(importer, w)
		closeKey(t, w.opened)
		s.discard(t, w.createdKey)
	}
}

// innerSizes returns the lengths of the AES key in the two steps of RSA_AES_KEY_WRAP.
func innerSizes(alg driver.WrapAlg) []int {
	if alg.TwoSteps() {
		return []int{32, 24, 16}
	}
	return []int{0}
}

// wrap wraps material as a host that brings its own key does. It returns false if the
// algorithm does not suit the key, or if the material does not fit.
func wrap(public crypto.PublicKey, alg driver.WrapAlg, material []byte) ([]byte, bool) {
	return wrapUnder(public, alg, innerSizes(alg)[0], material)
}

// wrapUnder is wrap with a given length of the inner AES key.
func wrapUnder(public crypto.PublicKey, alg driver.WrapAlg, inner int, material []byte) ([]byte, bool) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return wrapRSA(key, alg, inner, material)
	case *ecdsa.PublicKey:
		if alg != driver.WrapSM2 {
			return nil, false
		}
		wrapped, err := sm2.EncryptASN1(rand.Reader, key, material)
		return wrapped, err == nil
	}
	return nil, false
}

func wrapRSA(key *rsa.PublicKey, alg driver.WrapAlg, size int, material []byte) ([]byte, bool) {
	switch alg {
	case driver.WrapRSAOAEPSHA1, driver.WrapRSAOAEPSHA256:
		wrapped, err := rsa.EncryptOAEP(oaepHash(driver.EncryptAlg(alg)), rand.Reader, key, material, nil)
		return wrapped, err == nil
	case driver.WrapRSAAESKWP, driver.WrapRSAAESKWPSHA256:
		hash := driver.RSAOAEPSHA1
		if alg == driver.WrapRSAAESKWPSHA256 {
			hash = driver.RSAOAEPSHA256
		}
		inner := randomBytes(size)
		wrapped, err := rsa.EncryptOAEP(oaepHash(hash), rand.Reader, key, inner, nil)
		if err != nil {
			return nil, false
		}
		under, err := kwp(inner, material)
		return append(wrapped, under...), err == nil
	}
	return nil, false
}

// wrappedImportRoundTrip imports each spec by each algorithm that is listed for it. An
// algorithm that no wrapping key of the device supports is an error in the table.
func wrappedImportRoundTrip(t tb, s *subject) {
	done := make(map[string]bool)
	eachWrapping(t, s, func(d driver.WrappedImporter, w wrapping) {
		for _, row := range s.generated() {
			for _, alg := range row.WrappedImport {
				for _, inner := range innerSizes(alg) {
					ciphertext, ok := wrapUnder(w.public, alg, inner, s.encoded(t, row.Spec.Algorithm))
					if !ok {
						continue
					}
					done[row.Spec.String()+string(alg)] = true
					importWrapped(t, s, d, row, driver.Wrapped{With: w.opened, Alg: alg, Ciphertext: ciphertext})
				}
			}
		}
	})
	for _, row := range s.generated() {
		for _, alg := range row.WrappedImport {
			if !done[row.Spec.String()+string(alg)] {
				t.Errorf("%v lists %s, but no wrapping key supports it", row.Spec, alg)
			}
		}
	}
}

// importWrapped imports twice, because importing is repeatable, and uses the key.
func importWrapped(t tb, s *subject, d driver.WrappedImporter, row driver.SpecInfo, w driver.Wrapped) {
	t.Helper()
	k := createdKey{id: freshID(), row: row}
	for range 2 {
		var err error
		if k.created, err = d.ImportWrapped(context.Background(), k.id, row.Spec, w); err != nil {
			t.Errorf("%v: ImportWrapped by %s: %v", row.Spec, w.Alg, err)
			return
		}
	}
	works(t, s.Driver, k, "imported wrapped")
	if row.Spec.Usage == driver.Derive {
		opened := openKey[driver.PRF](t, s.Driver, k)
		prfAnswers(t, opened, k, s.material(t, row.Spec.Algorithm).raw)
	}
	s.discard(t, k)
}

func wrappedImportFaultAuthentic(t tb, s *subject) {
	eachWrapping(t, s, func(d driver.WrappedImporter, w wrapping) {
		for _, row := range s.generated() {
			for _, alg := range row.WrappedImport {
				good, ok := wrap(w.public, alg, s.encoded(t, row.Spec.Algorithm))
				if !ok {
					continue
				}
				for what, bad := range wrongWrapped(good) {
					_, err := d.ImportWrapped(context.Background(), freshID(), row.Spec, driver.Wrapped{With: w.opened, Alg: alg, Ciphertext: bad})
					wantClass(t, err, fmt.Sprintf("%v: %s: %s", row.Spec, alg, what), driver.Authentic)
				}
			}
		}
	})
}

func wrongWrapped(good []byte) map[string][]byte {
	wrong := map[string][]byte{
		"nil":             nil,
		"a byte short":    good[:len(good)-1],
		"a byte too many": append(slices.Clone(good), 0),
		"zeros":           make([]byte, len(good)),
	}
	for _, i := range positions(len(good), 16) {
		wrong[fmt.Sprintf("byte %d flipped", i)] = flipped(good, i)
	}
	return wrong
}

// wrappedImportLength imports symmetric material of a wrong length for the spec, by each
// algorithm that is listed for it.
func wrappedImportLength(t tb, s *subject) {
	eachWrapping(t, s, func(d driver.WrappedImporter, w wrapping) {
		for _, row := range s.rows(driver.Derive) {
			for _, n := range []int{1, 16, 24, 31, 33, 40, 48, 64, 65, 128} {
				if !slices.Contains(materialSizes(row.Spec.Algorithm), n) {
					wrongLength(t, s, createdKey{row: row}, w, randomBytes(n))
				}
			}
		}
	})
}

// wrongLength imports material of one wrong length. Longer material must be rejected,
// because the truncated key would be one that its owner has nowhere else. Shorter
// material may be padded with zeros only if that is the same key, as in HMAC.
func wrongLength(t tb, s *subject, k createdKey, w wrapping, material []byte) {
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
