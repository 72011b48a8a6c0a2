package vault

import (
	"crypto/fips140"
	"flag"
	"slices"
	"testing"
)

// editionName is the edition that the suite runs in. Without it that is Standard, or
// FIPS where the process enforces FIPS 140:
//
//	go test ./vault -edition SM
//	go test -exec 'env GODEBUG=fips140=only' ./vault
var editionName = flag.String("edition", "", "run the suite in this edition: STANDARD, FIPS or SM")

// editions are those that this process can have.
var editions = slices.DeleteFunc([]Edition{Standard, FIPS, SM}, func(e Edition) bool { return checkProcess(e) != nil })

// testEdition is the edition that the suite runs in.
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

// testConfig is the zero Config in the edition that the suite runs in.
func testConfig() Config { return Config{Edition: testEdition()} }

// otherEdition is one that this process can have and the suite does not run in.
func otherEdition() Edition {
	return editions[(slices.Index(editions, testEdition())+1)%len(editions)]
}

// needs skips a test of an algorithm that the suite's edition or process does without.
func needs[A ~string](t *testing.T, algs ...A) {
	t.Helper()
	for _, alg := range algs {
		if err := excluded(testEdition(), alg); err != nil {
			t.Skip(err)
		}
	}
}
