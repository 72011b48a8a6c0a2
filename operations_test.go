package strongroom_test

import (
	"os"
	"regexp"
	"testing"
)

// TestOperationsAreInSchema checks that the schema of the policies has each operation of
// package vault, or that the test of the schema lists it as one that is only recorded. The
// test of the schema checks the rest; this one is here so that it runs with the quick tests.
func TestOperationsAreInSchema(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	schema, recorded := read("vault/policy/schema.cedarschema"), read("vault/policy/schema_test.go")
	declared := regexp.MustCompile(`(?m)^\t(Op\w+)\s+Operation = "(\w+)"`).FindAllStringSubmatch(read("vault/operation.go"), -1)
	if len(declared) < 60 {
		t.Fatalf("found %d operations", len(declared))
	}
	for _, op := range declared {
		inSchema := regexp.MustCompile(`(?m)^(action|  ).*\b` + op[2] + `\b`).MatchString(schema)
		onlyRecorded := regexp.MustCompile(`(?s)recordedOnly = .*?\b` + op[1] + `\b.*?\n}`).MatchString(recorded)
		if !inSchema && !onlyRecorded {
			t.Errorf("%s is neither in vault/policy/schema.cedarschema nor in recordedOnly of its test", op[2])
		}
	}
}
