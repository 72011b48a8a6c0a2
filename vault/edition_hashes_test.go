package vault

import (
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestStoredHashesComeFromTheSuite: in the packages that store anything, only the files
// that implement the callers' algorithms import a hash directly. All others use
// internal/suite, which depends on the edition.
func TestStoredHashesComeFromTheSuite(t *testing.T) {
	// Digests of callers' messages by signature algorithm, fingerprints of callers' keys, and
	// signatures of requests to the API of a cloud service.
	callers := []string{"../vault/internal/publickey/signature.go", "../vault/internal/publickey/recipient.go", "../vault/internal/webapi/keyring.go"}
	hashes := []string{"crypto/md5", "crypto/sha1", "crypto/sha256", "crypto/sha512", "crypto/sha3", "hash/maphash"}
	files := 0
	for _, room := range []string{"../vault", "../vault/internal/*", "../vault/stream", "../audit", "../keystore", "../keystore/internal/*", "../keystore/badger", "../internal/ciphertext", "../internal/keywrap"} {
		names, err := filepath.Glob(room + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			files++
			for _, path := range importsOf(t, name) {
				if slices.Contains(hashes, path) && !slices.Contains(callers, filepath.ToSlash(name)) {
					t.Errorf("%s imports %s; take the hash of the suite", name, path)
				}
			}
		}
	}
	if files < 80 || !slices.Contains(importsOf(t, callers[0]), "crypto/sha256") {
		t.Errorf("%d files were read", files)
	}
}

func importsOf(t *testing.T, name string) (paths []string) {
	t.Helper()
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(gotoken.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range file.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}
