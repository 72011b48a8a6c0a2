package soft_test

import (
	"crypto/fips140"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/drivertest"
	"strongroom.example/driver/soft"
)

// TestConformance runs the conformance suite over the engine in every edition. Large RSA
// keys take long to generate and are the same in all editions, so they are tested in one.
func TestConformance(t *testing.T) {
	for _, e := range []driver.Edition{driver.Standard, driver.FIPS, driver.SM} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			if e == driver.SM && fips140.Enforced() {
				if _, err := soft.Open(t.Context(), soft.Config{Edition: e}); !errors.Is(err, driver.Unsupported) {
					t.Errorf("Open where FIPS 140 is enforced: %v", err)
				}
				return
			}
			harness(e).Run(t)
		})
	}
}

// harness opens engines with one wrapping key. A restart is a new engine with the same
// key.
func harness(e driver.Edition) drivertest.Harness {
	key := make([]byte, soft.KeySize)
	rand.Read(key)
	open := func(t *testing.T) driver.Driver {
		d, err := soft.Open(t.Context(), soft.Config{Key: key, Edition: e})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	return drivertest.Harness{
		Open:     open,
		Reopen:   func(t *testing.T, _ driver.Driver) driver.Driver { return open(t) },
		LeaveOut: func(spec driver.KeySpec) bool { return e != driver.Standard && large(spec.Algorithm) },
	}
}

func large(alg driver.KeyAlgorithm) bool { return alg == driver.RSA3072 || alg == driver.RSA4096 }

// TestProtectorConformance runs the conformance suite over each protector in every
// edition.
func TestProtectorConformance(t *testing.T) {
	for kind := range protectors(t) {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			drivertest.RunProtector(t, func(t *testing.T) (right, wrong driver.Protector) {
				two := protectors(t)[kind]
				return two[0], two[1]
			})
		})
	}
}

// TestConformanceEnforced runs the suite again in a process that enforces FIPS 140.
func TestConformanceEnforced(t *testing.T) {
	if fips140.Enforced() {
		t.Skip("this process enforces FIPS 140 already")
	}
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	again := exec.Command(self, "-test.v", "-test.run=Conformance/^(FIPS|SM|passphrase|recovery-code|key-file)$")
	again.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, err := again.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"TestConformance/FIPS", "TestConformance/SM", "TestProtectorConformance/passphrase/FIPS"} {
		if !strings.Contains(string(out), "--- PASS: "+name+" (") {
			t.Errorf("%s did not run", name)
		}
	}
}
