package tpm_test

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"strings"
	"testing"

	"strongroom.example/driver"
)

// TestFIPS140 runs the tests of sessions, imports and protectors again in a process that
// enforces FIPS 140. In such a process the driver must not offer SM2, even if the TPM
// supports it.
func TestFIPS140(t *testing.T) {
	if fips140.Enforced() {
		d := openFresh(t)
		if _, offered := d.Info().Find(driver.KeySpec{Algorithm: driver.SM2, Usage: driver.Sign}); offered {
			t.Error("Info lists SM2 where FIPS 140 is enforced")
		}
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tests := []string{"TestFIPS140", "TestProtectorConformance/PCRs", "TestApproval", "TestRetriedCodes", "TestWycheproof/ecdh_secp256r1_test.json", "TestWycheproof/hmac_sha256_test.json"}
	again := exec.Command(self, "-test.v", "-test.run=^(TestFIPS140|TestProtectorConformance|TestApproval|TestRetriedCodes|TestWycheproof)$/^(PCRs|ecdh_secp256r1_test.json|hmac_sha256_test.json)$")
	again.Env = append(os.Environ(), "GODEBUG=fips140=only")
	out, err := again.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range tests {
		if !strings.Contains(string(out), "--- PASS: "+name) {
			t.Errorf("%s did not run", name)
		}
	}
}

// TestForgedResponse changes responses between the driver and the TPM. The driver must
// detect each change, and later results must be correct.
func TestForgedResponse(t *testing.T) {
	s := newTPM(t)
	var f corrupter
	d := openConfig(t, f.config(s))
	k := openAs[driver.PRF](t, d, generate(t, d, hmacSpec))
	want := prf(t, k)
	for at := 10; at < 10+4+2+32; at++ {
		f.corrupt(hmacCommand, flipAt(at))
		out, err := k.PRF(t.Context(), nil, []byte("question"))
		if err == nil || len(out) > 0 {
			t.Fatalf("byte %d of a response was changed, and PRF returned no error", at)
		}
		if got := prf(t, k); string(got) != string(want) {
			t.Fatalf("after byte %d was changed: PRF returned another result than before", at)
		}
	}
}
