package tpm_test

import (
	"testing"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/internal/testtoken"
)

// chip starts a fresh TPM. At the end of the test it checks that the TPM's count of wrong
// authorizations has not changed, neither by a wrong blob nor by a power cut.
func chip(t testing.TB) *testtoken.SWTPM {
	t.Helper()
	s := testtoken.NewSWTPM(t)
	t.Cleanup(func() {
		if t.Failed() {
			return // a driver may still be connected, and the TPM serves one client
		}
		if n := failures(t, s); n != 0 {
			t.Errorf("the TPM counted %d failed authorizations, want 0", n)
		}
	})
	return s
}

// failures reads the count of wrong authorizations. No driver may be connected.
func failures(t testing.TB, s *testtoken.SWTPM) uint32 {
	t.Helper()
	s.Start() // in case it is off
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	rsp, err := tpm2.GetCapability{
		Capability:    tpm2.TPMCapTPMProperties,
		Property:      uint32(tpm2.TPMPTLockoutCounter),
		PropertyCount: 1,
	}.Execute(c)
	if err != nil {
		t.Fatal(err)
	}
	list, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil || len(list.TPMProperty) != 1 || list.TPMProperty[0].Property != tpm2.TPMPTLockoutCounter {
		t.Fatalf("reading the lockout counter: %v", err)
	}
	return list.TPMProperty[0].Value
}
