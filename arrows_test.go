package strongroom_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "strongroom.example/"

// arrows says what each package may import, beside the standard library,
// golang.org/x/crypto and golang.org/x/sys. A pattern ending in "/..." stands for
// everything below it; "public" stands for the module's packages outside internal.
// A package without a row fails, so a new room needs a decision here.
var arrows = map[string][]string{
	"strongroom.example":         {},
	"driver":                     {},
	"driver/drivertest":          {"driver", "internal/sm2ciphertext", "internal/pkcs8", "github.com/emmansun/gmsm/..."},
	"driver/pkcs11":              {"driver", "internal/pkcs8", "internal/gate", "github.com/miekg/pkcs11/...", "internal/suite", "internal/lockedmem", "internal/driveruri", "internal/keywrap"},
	"driver/soft":                {"driver", "internal/sm2ciphertext", "internal/pkcs8", "internal/gate", "internal/redact", "filippo.io/bigmod/...", "github.com/emmansun/gmsm/...", "internal/suite", "internal/lockedmem"},
	"driver/tpm":                 {"driver", "internal/sm2ciphertext", "internal/pkcs8", "internal/gate", "internal/redact", "github.com/google/go-tpm/...", "github.com/emmansun/gmsm/...", "internal/suite", "internal/lockedmem"},
	"keystore":                   {"internal/..."},
	"keystore/badger":            {"keystore", "github.com/dgraph-io/badger/v4/...", "github.com/dgraph-io/ristretto/v2/z/..."},
	"keystore/storetest":         {"keystore"},
	"audit":                      {"golang.org/x/mod/...", "github.com/transparency-dev/merkle/...", "internal/suite"},
	"vault":                      {"driver", "driver/soft", "keystore", "keystore/badger", "audit", "vault/stream", "internal/...", "github.com/emmansun/gmsm/...", "github.com/awnumar/memguard/..."},
	"vault/stream":               {"internal/..."},
	"internal/sm2ciphertext":     {"internal/suite", "github.com/emmansun/gmsm/..."},
	"internal/suite":             {"internal/redact", "internal/lockedmem", "filippo.io/edwards25519/...", "github.com/emmansun/gmsm/..."},
	"internal/ciphertext":        {"internal/suite"},
	"internal/lockedmem":         {"internal/redact", "github.com/awnumar/memcall/..."},
	"internal/auditor":           {"golang.org/x/mod/..."},
	"internal/clock":             {},
	"internal/gate":              {},
	"internal/oddkeys":           {"driver", "internal/openssltest", "github.com/emmansun/gmsm/..."},
	"internal/openssltest":       {},
	"internal/tlstest":           {},
	"internal/vectors":           {"driver", "github.com/c2sp/wycheproof/..."},
	"internal/keywrap":           {"internal/suite"},
	"internal/pkcs1":             {"internal/suite"},
	"internal/pkcs8":             {"driver", "internal/suite", "github.com/emmansun/gmsm/..."},
	"internal/ranktest":          {},
	"internal/redact":            {},
	"internal/redact/redacttest": {},
	"internal/unwrap":            {"driver", "internal/keywrap", "internal/pkcs1", "internal/suite"},
	"internal/selftest":          {"driver", "internal/keywrap", "internal/suite"},
	"internal/testtoken":         {"internal/driveruri"},
	"internal/driveruri":         {},
	"internal/vaulttest":         {"public", "internal/...", "github.com/emmansun/gmsm/..."},
	"bench":                      {"public"},
	"examples/quickstart":        {"public"},
}

// TestArrows checks every direct import of every package against the table.
func TestArrows(t *testing.T) {
	for pkg, imports := range listImports(t) {
		allowed, ok := arrows[pkg]
		if !ok {
			t.Errorf("package %s has no row in the table of arrows", pkg)
		}
		for _, path := range imports {
			if !ordinary(path) && !slices.ContainsFunc(allowed, func(p string) bool { return matches(p, path) }) {
				t.Errorf("package %s must not import %s", pkg, path)
			}
		}
	}
}

// TestVaultStaysFreeOfDevices checks that linking the vault links no device driver,
// so that a pure-Go build stays free of cgo.
func TestVaultStaysFreeOfDevices(t *testing.T) {
	for _, path := range goList(t, "-deps", "-f", "{{.ImportPath}}", "./vault") {
		for _, device := range []string{"driver/pkcs11", "driver/tpm"} {
			if strings.HasPrefix(path, module+device) {
				t.Errorf("vault depends on %s", path)
			}
		}
	}
}

// TestTheTableRefuses is the positive control: the matcher says no where it must.
func TestTheTableRefuses(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"driver", module + "driver", true},
		{"driver", module + "driver/soft", false},
		{"internal/...", module + "internal/suite", true},
		{"internal/...", module + "internals", false},
		{"public", module + "vault", true},
		{"public", module + "internal/suite", false},
		{"github.com/dgraph-io/badger/v4/...", "github.com/dgraph-io/badger/v4", true},
		{"github.com/dgraph-io/badger/v4/...", "github.com/dgraph-io/badger/v3", false},
	} {
		if got := matches(c.pattern, c.path); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.pattern, c.path, got)
		}
	}
	if ordinary("github.com/awnumar/memguard") || !ordinary("crypto/sha256") {
		t.Error("ordinary does not tell the standard library from the rest")
	}
}

// listImports returns each package of this module, by its path inside the module,
// with its direct imports outside tests.
func listImports(t *testing.T) map[string][]string {
	t.Helper()
	packages := make(map[string][]string)
	for _, line := range goList(t, "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "./...") {
		fields := strings.Fields(line)
		packages[strings.TrimPrefix(fields[0], module)] = fields[1:]
	}
	if len(packages) < 2 {
		t.Fatal("go list found no packages")
	}
	return packages
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1") // the PKCS #11 driver, not its stub
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// ordinary reports whether any package may import path.
func ordinary(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") ||
		strings.HasPrefix(path, "golang.org/x/crypto/") ||
		strings.HasPrefix(path, "golang.org/x/sys/")
}

// matches reports whether pattern, a row's entry, allows the import of path.
func matches(pattern, path string) bool {
	inside, own := strings.CutPrefix(path, module)
	if pattern == "public" {
		return own && !strings.HasPrefix(inside, "internal/")
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return inside == tree || strings.HasPrefix(inside, tree+"/")
	}
	return own && inside == pattern
}
