package soft_test

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"strongroom.example/driver/soft"
)

// A key file opens a vault without a person present. The file's contents are the secret,
// so it must be kept on another medium than the vault.
func ExampleCreateKeyFile() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "vault.key")
	if err := soft.CreateKeyFile(path); err != nil {
		log.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(info.Mode(), soft.KeyFile(path).Kind())
	// Output: -rw------- key-file
}

// A recovery code has check symbols, so that ParseRecoveryCode rejects a mistyped code at
// once.
func ExampleParseRecoveryCode() {
	code, err := soft.NewRecoveryCode()
	if err != nil {
		log.Fatal(err)
	}
	text := code.AppendCode(nil)
	_, err = soft.ParseRecoveryCode(bytes.ToLower(text))
	fmt.Println("in lower case:", err)
	text[0] ^= 1
	_, err = soft.ParseRecoveryCode(text)
	fmt.Println("mistyped is refused:", err != nil)
	// Output:
	// in lower case: <nil>
	// mistyped is refused: true
}
