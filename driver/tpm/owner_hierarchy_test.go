package tpm_test

import (
	"encoding/binary"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/testing/testtoken"
)

// ownerOff switches the owner hierarchy off, as firmware does (TPM2_HierarchyControl; TPM
// 2.0 Library, Part 3, 24.2).
func ownerOff(t *testing.T, s *testtoken.SWTPM) {
	t.Helper()
	c, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	command := []byte{
		0x80, 0x02, 0, 0, 0, 0, 0x00, 0x00, 0x01, 0x21, // sessions, size, command code
		0x40, 0x00, 0x00, 0x0C, // the platform authorizes
		0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0, // by an empty password
		0x40, 0, 0, 1, 0, // owner, NO
	}
	binary.BigEndian.PutUint32(command[2:], uint32(len(command)))
	response, err := c.Send(command)
	if err != nil || len(response) < 10 || binary.BigEndian.Uint32(response[6:]) != 0 {
		t.Fatalf("TPM2_HierarchyControl: %x, %v", response, err)
	}
}

// TestOwnerHierarchyOff checks that without the owner hierarchy the TPM has no storage
// root key and creates none, and that the error names a remedy.
func TestOwnerHierarchyOff(t *testing.T) {
	for _, used := range []bool{false, true} {
		s := newTPM(t)
		cfg := tpm.Config{Device: "unix:" + s.Socket()}
		if used { // the storage root key exists already
			d, err := tpm.Open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			d.Close()
		}
		ownerOff(t, s)
		d, err := tpm.Open(t.Context(), cfg)
		if err == nil {
			d.Close()
		}
		oneLine(t, err, driver.Denied, "hierarchy", "firmware setup")
	}
}
