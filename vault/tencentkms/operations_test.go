package tencentkms_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"strongroom.example/internal/testing/doctable"
	"strongroom.example/vault/tencentkms"
)

var update = flag.Bool("update", false, "write the table of operations into docs/tencent.md")

// lines returns the lines of a file.
func lines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(text))
}

// common are the codes that the service documents for every API of the cloud.
var common = []string{
	"AuthFailure.InvalidAuthorization", "AuthFailure.SecretIdNotFound", "AuthFailure.SignatureExpire",
	"AuthFailure.SignatureFailure", "AuthFailure.TokenFailure", "InvalidAction", "NoSuchVersion",
	"RequestLimitExceeded", "RequestSizeLimitExceeded", "UnknownParameter", "UnsupportedProtocol",
}

// TestEveryOperationIsListed compares the table with the operations and the error codes of
// the SDK, release v1.3.166, from whose sources testdata was made.
func TestEveryOperationIsListed(t *testing.T) {
	codes := lines(t, "testdata/codes.txt")
	var listed []string
	for _, op := range tencentkms.Operations() {
		listed = append(listed, op.Action)
		if op.Served() == (op.Refusal != "") || !op.Served() && (!slices.Contains(codes, op.Refusal) || op.Note == "") {
			t.Errorf("%s: refused with %q, note %q", op.Action, op.Refusal, op.Note)
		}
	}
	if want := lines(t, "testdata/operations.txt"); !slices.Equal(listed, want) || len(want) != 69 {
		t.Errorf("listed: %v\nnot: %v", listed, want)
	}
}

// TestCodesAreDocumented reads every error code in the sources of the package.
func TestCodesAreDocumented(t *testing.T) {
	codes := append(lines(t, "testdata/codes.txt"), common...)
	if len(codes) != 62+len(common) {
		t.Errorf("%d codes", len(codes))
	}
	found := 0
	for _, file := range []string{"failure.go", "lifecycle.go", "crypto.go", "datakeys.go"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("= \"([A-Za-z.]+)\"\n|code:\"([A-Za-z.]+)\"").FindAllSubmatch(text, -1) {
			found++
			if code := string(m[1]) + string(m[2]); !slices.Contains(codes, code) {
				t.Errorf("%s: the code %s is not documented", file, code)
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d codes were found", found)
	}
}

// TestRefusedOperations calls each operation that is refused.
func TestRefusedOperations(t *testing.T) {
	c := newClient(t)
	for _, op := range tencentkms.Operations() {
		if !op.Served() {
			if got := c.call(op.Action, nil).code(); got != op.Refusal {
				t.Errorf("%s: %q, not %s", op.Action, got, op.Refusal)
			}
		}
	}
}

const docs = "../../docs/tencent.md"

// TestDocumentation compares the table of docs/tencent.md with the package. With the flag
// -update it writes the table.
func TestDocumentation(t *testing.T) {
	var table strings.Builder
	table.WriteString("| operation | served | remark |\n|---|---|---|\n")
	for _, op := range tencentkms.Operations() {
		served := "yes"
		if !op.Served() {
			served = "`" + op.Refusal + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", op.Action, served, op.Note)
	}
	doctable.Compare(t, docs, "<!-- operations -->\n", "<!-- end of operations -->\n", *update, func(string) string { return table.String() })
}
