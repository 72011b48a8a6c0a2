package drivertest

import (
	"bytes"
	"context"
	"fmt"

	"strongroom.example/driver"
)

// importKey imports material under a fresh id.
func importKey(t tb, d driver.Driver, row driver.SpecInfo, material []byte) createdKey {
	t.Helper()
	k := createdKey{id: freshID(), row: row}
	importer, ok := d.(driver.Importer)
	if !ok {
		t.Fatalf("%v lists Import, but the driver does not implement Importer", row.Spec)
	}
	var err error
	if k.created, err = importer.ImportKey(context.Background(), k.id, row.Spec, material); err != nil {
		t.Fatalf("%v: ImportKey of %d bytes: %v", row.Spec, len(material), err)
	}
	return k
}

// materialSizes returns the lengths in which a derivation key can be imported.
func materialSizes(alg driver.KeyAlgorithm) []int {
	if alg == driver.HMACSM3 {
		return []int{32, 16}
	}
	return []int{alg.MACSize()}
}

// prfKnownAnswer compares an imported key with HMAC of the standard library or gmsm.
// Without import it has nothing to compare with, and logs that.
func prfKnownAnswer(t tb, s *subject) {
	for _, row := range s.rows(driver.Derive) {
		if !row.Import {
			t.Logf("%v cannot be imported: there are no known answers to compare with", row.Spec)
			continue
		}
		for _, size := range materialSizes(row.Spec.Algorithm) {
			material := randomBytes(size)
			k := importKey(t, s.Driver, row, material)
			prfAnswers(t, openKey[driver.PRF](t, s.Driver, k), k, material)
			s.discard(t, k)
		}
	}
}

func prfAnswers(t tb, opened driver.PRF, k createdKey, material []byte) {
	t.Helper()
	defer closeKey(t, opened)
	for _, n := range []int{1, 31, 32, 33, 63, 64, 65, 1024, 4096} {
		input := randomBytes(n)
		got, err := opened.PRF(context.Background(), nil, input)
		if err != nil {
			t.Errorf("%v: PRF of %d bytes: %v", k.row.Spec, n, err)
			continue
		}
		if !bytes.Equal(got, prf(k.row.Spec.Algorithm, nil, material, input)) {
			t.Errorf("%v: PRF of %d bytes under a key of %d bytes differs from HMAC", k.row.Spec, n, len(material))
		}
	}
}

// distinctInputs returns inputs that differ in their length, or in the last byte only.
// Those of 58 bytes have the length from which the vault derives message keys.
func distinctInputs() []string {
	inputs := []string{"a", "b", "a\x00"}
	for _, n := range []int{58, 4096} {
		input := randomBytes(n)
		inputs = append(inputs, string(input))
		input[n-1]++
		inputs = append(inputs, string(input))
	}
	return inputs
}

// prfDeterministicAndDistinct checks that the output depends on the key and on the whole
// input, and on nothing else.
func prfDeterministicAndDistinct(t tb, s *subject) {
	ctx, inputs := context.Background(), distinctInputs()
	for _, row := range s.rows(driver.Derive) {
		other := makeKey(t, s.Driver, row)
		keys := []driver.PRF{sharedKey[driver.PRF](t, s, row), sharedKey[driver.PRF](t, s, row), openKey[driver.PRF](t, s.Driver, other)}
		outputs := make(map[string]string)
		for i, k := range keys {
			for _, input := range inputs {
				out, err := k.PRF(ctx, nil, []byte(input))
				if err != nil || len(out) != row.Spec.Algorithm.MACSize() {
					t.Errorf("%v: PRF returned %d bytes, %v", row.Spec, len(out), err)
				}
				outputs[string(out)] = fmt.Sprint(i, input)
			}
			closeKey(t, k)
		}
		if len(outputs) != 2*len(inputs) {
			t.Errorf("%v: two keys and %d inputs gave %d different outputs", row.Spec, len(inputs), len(outputs))
		}
		s.discard(t, other)
	}
}

func prfTooLong(t tb, s *subject) {
	for _, row := range s.rows(driver.Derive) {
		k := sharedKey[driver.PRF](t, s, row)
		for _, n := range []int{4097, 16384} {
			out, err := k.PRF(context.Background(), nil, make([]byte, n))
			wantClass(t, err, fmt.Sprintf("%v: PRF of %d bytes", row.Spec, n), driver.Invalid)
			if len(out) != 0 {
				t.Errorf("%v: PRF of %d bytes returned output with its error", row.Spec, n)
			}
		}
		closeKey(t, k)
	}
}
