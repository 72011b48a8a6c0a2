package strongroom_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "strongroom.example/"

// testSupport is the pattern of the packages that exist for tests.
const testSupport = "internal/testing/..."

// arrows says what each package may import, beside the standard library,
// golang.org/x/crypto and golang.org/x/sys. A pattern ending in "/..." stands for
// everything below it; "public" stands for the module's packages outside internal.
// A package without a row fails, so a new room needs a decision here.
var arrows = map[string][]string{
	"strongroom.example": {},
	"driver":             {},
	"driver/drivertest":  {"internal/keyder", "driver", "internal/sm2ciphertext", "internal/pkcs8", "internal/gate", "github.com/emmansun/gmsm/..."},
	"driver/soft":        {"internal/keyder", "driver", "internal/sm2ciphertext", "internal/pkcs8", "internal/gate", "internal/redact", "filippo.io/bigmod/...", "github.com/emmansun/gmsm/...", "internal/suite", "internal/lockedmem"},

	"driver/pkcs11":                   {"driver", "github.com/miekg/pkcs11/...", "internal/gate", "internal/suite", "internal/pkcs11uri", "driver/pkcs11/internal/..."},
	"driver/pkcs11/internal/cryptoki": {"driver", "github.com/miekg/pkcs11/...", "internal/suite"},
	"driver/pkcs11/internal/pin":      {"internal/suite", "internal/lockedmem", "internal/secretsource"},
	"driver/pkcs11/internal/object":   {"driver", "driver/pkcs11/internal/cryptoki", "github.com/miekg/pkcs11/...", "internal/pkcs8", "internal/suite"},
	"driver/pkcs11/internal/selftest": {"driver", "driver/pkcs11/internal/cryptoki", "driver/pkcs11/internal/object", "github.com/miekg/pkcs11/...", "internal/keywrap", "internal/suite"},
	"driver/pkcs11/internal/session":  {"driver", "driver/pkcs11/internal/...", "github.com/miekg/pkcs11/...", "internal/suite"},

	"driver/tpm":                    {"driver", "driver/tpm/internal/...", "internal/sm2ciphertext", "internal/pkcs8", "internal/gate", "internal/redact", "github.com/google/go-tpm/...", "github.com/emmansun/gmsm/...", "internal/suite", "internal/lockedmem"},
	"driver/tpm/internal/format":    {"driver", "driver/tpm/internal/wire", "github.com/google/go-tpm/...", "internal/suite"},
	"driver/tpm/internal/object":    {"internal/keyder", "driver", "driver/tpm/internal/format", "driver/tpm/internal/wire", "internal/pkcs8", "internal/sm2ciphertext", "internal/suite", "github.com/google/go-tpm/...", "github.com/emmansun/gmsm/..."},
	"driver/tpm/internal/queue":     {},
	"driver/tpm/internal/transport": {"driver/tpm/internal/wire", "github.com/google/go-tpm/..."},
	"driver/tpm/internal/wire":      {"github.com/google/go-tpm/...", "internal/suite", "internal/lockedmem"},

	"keystore":                      {"internal/...", "keystore/internal/..."},
	"keystore/internal/census":      {"internal/suite", "keystore/internal/fault", "keystore/internal/keyring", "keystore/internal/record"},
	"keystore/internal/directory":   {"keystore/internal/fault", "keystore/internal/osfile"},
	"keystore/internal/fault":       {},
	"keystore/internal/fields":      {},
	"keystore/internal/groupwait":   {"keystore/internal/osfile"},
	"keystore/internal/head":        {"keystore/internal/fault", "keystore/internal/fields", "keystore/internal/journal", "keystore/internal/tip"},
	"keystore/internal/journal":     {"keystore/internal/directory", "keystore/internal/fault", "keystore/internal/fields", "keystore/internal/keyring", "keystore/internal/osfile"},
	"keystore/internal/keyring":     {"internal/lockedmem", "internal/redact", "internal/suite", "keystore/internal/fault"},
	"keystore/internal/osfile":      {},
	"keystore/internal/pathindex":   {"github.com/google/btree/..."},
	"keystore/internal/record":      {"internal/redact", "internal/suite", "keystore/internal/fault", "keystore/internal/keyring"},
	"keystore/internal/recordtest":  {"internal/lockedmem", "internal/suite", "keystore/internal/keyring", "keystore/internal/record"},
	"keystore/internal/repairplan":  {"keystore/internal/census", "keystore/internal/fault", "keystore/internal/head", "keystore/internal/journal", "keystore/internal/keyring", "keystore/internal/record", "keystore/internal/tip"},
	"keystore/internal/rootfile":    {"internal/lockedmem", "internal/redact", "internal/suite", "keystore/internal/directory", "keystore/internal/fault", "keystore/internal/fields", "keystore/internal/keyring"},
	"keystore/internal/segment":     {"keystore/internal/fields"},
	"keystore/internal/snapshot":    {"keystore/internal/fault"},
	"keystore/internal/tip":         {"keystore/internal/directory", "keystore/internal/fault", "keystore/internal/fields", "keystore/internal/journal", "keystore/internal/keyring"},
	"keystore/badger":               {"keystore", "keystore/internal/osfile", "github.com/dgraph-io/badger/v4/...", "github.com/dgraph-io/ristretto/v2/z/..."},
	"keystore/storetest":            {"keystore"},
	"audit":                         {"golang.org/x/mod/...", "github.com/transparency-dev/merkle/...", "internal/suite"},
	"vault":                         {"driver", "driver/soft", "keystore", "keystore/badger", "audit", "vault/stream", "vault/internal/...", "internal/...", "github.com/emmansun/gmsm/..."},
	"vault/stream":                  {"internal/..."},
	"vault/vaulttest":               {"driver", "driver/soft", "internal/clock", "vault"},
	"vault/throttle":                {"vault", "golang.org/x/time/rate/..."},
	"vault/awskms":                  {"vault", "vault/internal/keyid", "vault/internal/webapi", "internal/redact", "internal/suite"},
	"vault/tencentkms":              {"vault", "vault/internal/keyid", "vault/internal/webapi", "internal/redact", "internal/sm2ciphertext", "internal/suite"},
	"vault/policy":                  {"vault", "vault/internal/keyid", "github.com/cedar-policy/cedar-go/..."},
	"vault/internal/auditlog":       {"audit", "keystore", "vault/internal/fault"},
	"vault/internal/backupfile":     {"driver", "keystore", "internal/lockedmem", "vault/internal/rootunlock"},
	"vault/internal/bindingrecords": {"keystore", "vault/internal/fault", "vault/internal/inputtext", "vault/internal/record"},
	"vault/internal/cursor":         {},
	"vault/internal/datakeyrecords": {"keystore", "vault/internal/fault", "vault/internal/record"},
	"vault/internal/deviceid":       {"driver", "vault/internal/fault"},
	"vault/internal/devicekey":      {"driver", "driver/soft", "internal/suite", "keystore", "vault/internal/editionrules", "vault/internal/fault", "vault/internal/record"},
	"vault/internal/editionrules":   {"driver", "internal/selftest", "internal/suite", "vault/internal/fault"},
	"vault/internal/entropy":        {"driver", "internal/clock", "internal/suite", "vault/internal/retry"},
	"vault/internal/epochbatch":     {"keystore"},
	"vault/internal/failures":       {"audit"},
	"vault/internal/fault":          {},
	"vault/internal/importtoken":    {"driver", "internal/suite", "vault/internal/deviceid", "vault/internal/fault"},
	"vault/internal/inputcopy":      {"internal/ciphertext", "internal/suite"},
	"vault/internal/inputtext":      {"vault/internal/fault", "vault/internal/keyid"},
	"vault/internal/intentrecords":  {"audit", "driver", "keystore", "vault/internal/deviceid", "vault/internal/record"},
	"vault/internal/keyhandles":     {"driver"},
	"vault/internal/keyid":          {},
	"vault/internal/memorykey":      {"internal/lockedmem", "internal/redact", "internal/suite", "vault/internal/fault", "github.com/awnumar/memguard/..."},
	"vault/internal/ordered":        {},
	"vault/internal/publickey":      {"internal/keyder", "driver", "driver/soft", "internal/ciphertext", "vault/internal/fault", "github.com/emmansun/gmsm/..."},
	"vault/internal/record":         {"keystore", "vault/internal/fault"},
	"vault/internal/refusedopens":   {"keystore", "vault/internal/fault", "vault/internal/record"},
	"vault/internal/retry":          {},
	"vault/internal/rootunlock":     {"audit", "driver", "keystore", "internal/lockedmem", "vault/internal/fault", "vault/internal/retry", "vault/internal/vaultsecrets"},
	"vault/internal/tasks":          {},
	"vault/internal/usestore":       {"audit", "internal/usecount", "keystore", "vault/internal/fault", "vault/internal/record"},
	"vault/internal/vaultsecrets":   {"keystore", "internal/lockedmem", "internal/redact"},
	"vault/internal/webapi":         {"internal/lockedmem", "internal/suite"},

	"vault/internal/wrapping": {"driver", "internal/lockedmem", "internal/pkcs8", "internal/suite", "internal/unwrap", "vault/internal/editionrules", "vault/internal/fault"},

	"internal/cli":          {"public", "internal/cli/...", "internal/deviceuri", "internal/secretsource", "internal/server", "internal/server/promtext", "internal/suite", "github.com/spf13/cobra/...", "github.com/spf13/pflag/..."},
	"internal/cli/doctor":   {"public", "internal/cli/session", "internal/cli/terminal"},
	"internal/cli/sealing":  {"vault", "vault/stream", "internal/suite"},
	"internal/cli/session":  {"public", "internal/cli/terminal", "internal/deviceuri", "internal/secretsource", "internal/suite"},
	"internal/cli/terminal": {"internal/suite", "golang.org/x/term/..."},

	"internal/ciphertext":      {"internal/suite"},
	"internal/clock":           {},
	"internal/deviceuri":       {"driver/...", "internal/pkcs11uri"},
	"internal/gate":            {},
	"internal/keywrap":         {"internal/suite"},
	"internal/lockedmem":       {"internal/redact", "github.com/awnumar/memcall/..."},
	"internal/pkcs1":           {"internal/suite"},
	"internal/pkcs11uri":       {},
	"internal/keyder":          {"internal/suite", "github.com/emmansun/gmsm/..."},
	"internal/pkcs8":           {"internal/keyder", "driver", "internal/suite", "github.com/emmansun/gmsm/..."},
	"internal/redact":          {},
	"internal/secretsource":    {"internal/suite"},
	"internal/selftest":        {"driver", "internal/keywrap", "internal/suite"},
	"internal/sm2ciphertext":   {"internal/suite", "github.com/emmansun/gmsm/..."},
	"internal/suite":           {"internal/redact", "internal/lockedmem", "filippo.io/edwards25519/...", "github.com/emmansun/gmsm/..."},
	"internal/server":          {"audit", "vault", "vault/awskms", "vault/tencentkms", "vault/throttle", "internal/redact", "internal/secretsource", "internal/server/promtext", "internal/suite", "go.opentelemetry.io/otel/..."},
	"internal/server/promtext": {"go.opentelemetry.io/otel/..."},
	"internal/usecount":        {},
	"internal/unwrap":          {"driver", "internal/keywrap", "internal/pkcs1", "internal/suite"},

	"internal/testing/clients":     {"internal/testing/doctable"},
	"internal/testing/doctable":    {},
	"internal/testing/auditor":     {"golang.org/x/mod/..."},
	"internal/testing/docs":        {},
	"internal/testing/fakedriver":  {"driver"},
	"internal/testing/oddkeys":     {"driver", "internal/testing/openssltest", "github.com/emmansun/gmsm/..."},
	"internal/testing/failcalls":   {"internal/testing/heavy"},
	"internal/testing/guide":       {},
	"internal/testing/heavy":       {},
	"internal/testing/openssltest": {},
	"internal/testing/kmsclient":   {},
	"internal/testing/poll":        {},
	"internal/testing/decisions":   {"audit"},
	"internal/testing/ranktest":    {},
	"internal/testing/redacttest":  {},
	"internal/testing/testtoken":   {"internal/pkcs11uri", "internal/testing/poll"},
	"internal/testing/smalldisk":   {},
	"internal/testing/tlstest":     {},
	"internal/testing/vaultmodel":  {"public", "pgregory.net/rapid/..."},
	"internal/testing/vaultsuite":  {"public", "internal/...", "github.com/emmansun/gmsm/..."},
	"internal/testing/vectors":     {"driver", "github.com/c2sp/wycheproof/..."},

	"bench":                       {"public", "github.com/emmansun/gmsm/..."},
	"bench/report":                {},
	"cmd/strongroom":              {"internal/cli"},
	"examples/quickstart":         {"public"},
	"examples/policies":           {"public", "examples/internal/demo"},
	"examples/config-secrets":     {"public", "examples/internal/demo"},
	"examples/envelope-files":     {"public", "examples/internal/demo"},
	"examples/openssl-sender":     {"public", "examples/internal/demo"},
	"examples/signatures-openssl": {"public", "examples/internal/demo"},

	"examples/backoff":           {"public", "examples/internal/demo"},
	"examples/byok-openssl":      {"public", "examples/internal/demo"},
	"examples/ca":                {"public", "examples/internal/demo"},
	"examples/database-at-rest":  {"public", "examples/internal/demo"},
	"examples/move-to-hsm":       {"public", "examples/internal/demo"},
	"examples/mtls-hsm":          {"public", "examples/internal/demo"},
	"examples/mtls-tpm":          {"public", "examples/internal/demo"},
	"examples/recover-a-vault":   {"public", "examples/internal/demo"},
	"examples/test-your-app":     {"public", "examples/internal/demo"},
	"examples":                   {},
	"examples/internal/demo":     {"driver", "driver/..."},
	"examples/internal/demotest": {"examples/internal/demo"},
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

// TestSupportIsForTests checks that outside tests only test support imports test support.
// The table alone does not, because some rows allow all of internal.
func TestSupportIsForTests(t *testing.T) {
	found := 0
	for pkg, imports := range listImports(t) {
		if matches(testSupport, module+pkg) {
			found++
			continue
		}
		for _, path := range imports {
			if matches(testSupport, path) {
				t.Errorf("package %s must import %s in tests only", pkg, path)
			}
		}
	}
	if found == 0 {
		t.Errorf("go list found no package of %s", testSupport)
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

// TestVaultStaysFreeOfPolicies checks that linking the vault does not link Cedar, which only
// programs that import vault/policy do.
func TestVaultStaysFreeOfPolicies(t *testing.T) {
	links := func(pkg string) bool {
		return slices.ContainsFunc(goList(t, "-deps", "-f", "{{.ImportPath}}", pkg), func(path string) bool {
			return strings.HasPrefix(path, "github.com/cedar-policy/")
		})
	}
	if links("./vault") {
		t.Error("vault depends on Cedar")
	}
	if !links("./vault/policy") {
		t.Error("vault/policy does not depend on Cedar; the test looks for another module")
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
		{"public", module + "vault/internal/keyid", false},
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
		return own && !strings.Contains("/"+inside, "/internal/")
	}
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return inside == tree || strings.HasPrefix(inside, tree+"/")
	}
	return own && inside == pattern
}
