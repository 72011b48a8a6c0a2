package tpm

import (
	"encoding/hex"
	"testing"
	"time"
)

// TestApprovalFormat checks that the signed bytes of format 2 do not change. The expected
// values were computed outside of this program, from docs/formats.md.
func TestApprovalFormat(t *testing.T) {
	a := Approval{Policy: make([]byte, 32), Terms: ApprovalTerms{
		VaultID: "000102030405060708090a0b0c0d0e0f", Number: 7, NotAfter: time.Unix(1893456000, 0),
	}}
	for i := range a.Policy {
		a.Policy[i] = 5
	}
	ref, err := a.Terms.ref()
	if err != nil {
		t.Fatal(err)
	}
	for what, row := range map[string]struct{ got, want string }{
		"policyRef":      {hex.EncodeToString(ref), "c582e89599dec1db2b561e1a04b464f380f200c5bf8ff24f3de16f00225b7988"},
		"for the TPM":    {hex.EncodeToString(approved(a.Policy, ref)), "e034ccc880bf5d162b448f72efd0c6d18c6cb4b253eb1673c0e25d1cded59c68"},
		"for the driver": {hex.EncodeToString(a.termsDigest(ref)), "a287da07f8228ff63ef1b3936e0cbbbee0e278715384fd40028f08f2ebd59ff1"},
	} {
		if row.got != row.want {
			t.Errorf("%s: %s, want %s", what, row.got, row.want)
		}
	}
}
