package vault

import (
	"crypto/fips140"
	"flag"
	"slices"
	"testing"

	"strongroom.example/vault/internal/editionrules"
)

// editionName is the edition in which the suite runs. The default is Standard, or FIPS if
// the process enforces FIPS 140:
//
//	go test ./vault -edition SM
//	go test -exec 'env GODEBUG=fips140=only' ./vault
var editionName = flag.String("edition", "", "run the suite in this edition: STANDARD, FIPS or SM")

// editions are the editions that this process can use.
var editions = slices.DeleteFunc([]Edition{Standard, FIPS, SM}, func(e Edition) bool { return editionrules.CheckProcess(e) != nil })

// testEdition returns the edition in which the suite runs.
func testEdition() Edition {
	for _, e := range []Edition{Standard, FIPS, SM} {
		if *editionName == e.String() {
			return e
		}
	}
	if *editionName != "" {
		panic("no such edition: " + *editionName)
	}
	if fips140.Enforced() {
		return FIPS
	}
	return Standard
}

// testConfig returns the zero Config with the edition of the suite.
func testConfig() Config { return Config{Edition: testEdition()} }

// otherEdition returns an edition that this process can use, other than that of the suite.
func otherEdition() Edition {
	return editions[(slices.Index(editions, testEdition())+1)%len(editions)]
}

// needs skips the test if the suite's edition or process does not allow one of the
// algorithms.
func needs[A ~string](t *testing.T, algs ...A) {
	t.Helper()
	for _, alg := range algs {
		if err := editionrules.Excluded(testEdition(), alg); err != nil {
			t.Skip(err)
		}
	}
}
