package awskms_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"strongroom.example/internal/testing/doctable"
	"strongroom.example/vault/awskms"
)

var update = flag.Bool("update", false, "write the table of operations into docs/aws.md")

// documented returns the operations of the service, and the error codes that the service
// documents for each.
func documented(t *testing.T) (names []string, codes map[string][]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	codes = make(map[string][]string)
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		names = append(names, fields[0])
		codes[fields[0]] = fields[1:]
	}
	return names, codes
}

// common are the codes that the service documents for every operation, and those with which
// every JSON service refuses a request before the operation begins.
var common = []string{
	"AccessDeniedException", "IncompleteSignatureException", "InvalidSignatureException", "MalformedHttpRequestException",
	"MissingAuthenticationTokenException", "RequestEntityTooLargeException", "SerializationException", "ThrottlingException",
	"UnknownOperationException", "UnrecognizedClientException", "ValidationException",
}

// TestEveryOperationIsListed compares the table with the operations of the SDK for Go v2,
// release v1.62.6, and with the service's model, from which testdata was made.
func TestEveryOperationIsListed(t *testing.T) {
	names, codes := documented(t)
	var listed, all []string
	for _, c := range codes {
		all = append(all, c...)
	}
	for _, op := range awskms.Operations() {
		listed = append(listed, op.Name)
		if !op.Served() && (!slices.Contains(all, op.Refusal) || op.Note == "") {
			t.Errorf("%s: refused with %q, note %q", op.Name, op.Refusal, op.Note)
		}
	}
	if !slices.Equal(listed, names) || len(names) != 56 {
		t.Errorf("listed: %v\nnot: %v", listed, names)
	}
}

// TestCodesAreDocumented reads every error code in the sources of the package.
func TestCodesAreDocumented(t *testing.T) {
	_, codes := documented(t)
	all := slices.Clone(common)
	for _, c := range codes {
		all = append(all, c...)
	}
	text, err := os.ReadFile("failure.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`= "(\w+Exception)"\n`).FindAllSubmatch(text, -1)
	for _, m := range found {
		if !slices.Contains(all, string(m[1])) {
			t.Errorf("the code %s is not documented", m[1])
		}
	}
	if len(found) < 30 {
		t.Errorf("only %d codes were found", len(found))
	}
}

// TestRefusedOperations calls each operation that is refused.
func TestRefusedOperations(t *testing.T) {
	c := newClient(t)
	for _, op := range awskms.Operations() {
		if !op.Served() {
			if got := c.call(op.Name, nil).code(); got != op.Refusal {
				t.Errorf("%s: %q, not %s", op.Name, got, op.Refusal)
			}
		}
	}
}

const docs = "../../docs/aws.md"

// TestDocumentation compares the table of docs/aws.md with the package. With the flag -update
// it writes the table.
func TestDocumentation(t *testing.T) {
	var table strings.Builder
	table.WriteString("| operation | served | remark |\n|---|---|---|\n")
	for _, op := range awskms.Operations() {
		served := "yes"
		if !op.Served() {
			served = "`" + op.Refusal + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", op.Name, served, op.Note)
	}
	doctable.Compare(t, docs, "<!-- operations -->\n", "<!-- end of operations -->\n", *update, func(string) string { return table.String() })
}
