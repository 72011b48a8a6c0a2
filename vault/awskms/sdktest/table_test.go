package sdktest

import (
	"flag"
	"testing"

	"strongroom.example/internal/testing/clients"
	"strongroom.example/vault/awskms"
)

var update = flag.Bool("update", false, "write the columns of the clients that ran into docs/aws.md")

// The columns of the table in docs/aws.md, after the name of the operation.
const (
	columnGo = iota
	columnCLI
	columnJS
	columnOthers
)

// compare compares the results of a client with its column. With the flag -update it writes the
// column.
func compare(t *testing.T, column int, result func(op string) string) {
	t.Helper()
	table := clients.Table{File: "../../../docs/aws.md", Update: *update,
		Head: []string{"operation", "SDK for Go v2", "`aws kms`", "SDK for JavaScript", "others"}}
	for _, op := range awskms.Operations() {
		table.Operations = append(table.Operations, op.Name)
	}
	table.Compare(t, column, result)
}
