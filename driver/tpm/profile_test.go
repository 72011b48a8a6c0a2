package tpm

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
)

// described returns the profile of a TPM with a manufacturer and a model.
func described(manufacturer, model string) profile {
	p := profile{fixed: make(map[tpm2.TPMPT]uint32)}
	padded := make([]byte, 4+16)
	copy(padded, manufacturer)
	copy(padded[4:], model)
	for i, property := range []tpm2.TPMPT{tpm2.TPMPTManufacturer, tpm2.TPMPTVendorString1, tpm2.TPMPTVendorString2, tpm2.TPMPTVendorString3, tpm2.TPMPTVendorString4} {
		p.fixed[property] = binary.BigEndian.Uint32(padded[4*i:])
	}
	return p
}

// TestSoftware checks that programs and chips are distinguished by their manufacturer and
// model.
func TestSoftware(t *testing.T) {
	for _, c := range []struct {
		manufacturer, model string
		software            bool
	}{
		{"IBM", "SW   TPM", true},
		{"MSFT", "xCG fTPM", true}, // the reference implementation
		{"XCG", "xCG fTPM", true},
		{"SIMU", "", true},
		{"CROS", "xCG fTPM", false}, // a chip of Google, with the strings of the reference implementation
		{"IFX", "SLB9670", false},
		{"INTC", "Intel", false},
		{"AMD", "AMD", false},
	} {
		if got := described(c.manufacturer, c.model).software(); got != c.software {
			t.Errorf("%s %q: software() = %v", c.manufacturer, c.model, got)
		}
	}
}

// TestPSSIsOffered checks that PSS is offered only if the TPM's salts are as long as the
// hash.
func TestPSSIsOffered(t *testing.T) {
	for _, c := range []struct {
		name            string
		revision, modes uint32
		offered         bool
	}{
		{"1.16", 116, 0, false},
		{"1.16 under FIPS 140-2", 116, 1, true},
		{"1.38", 138, 0, true},
		{"1.59", 159, 0, true},
		{"none told", 0, 0, false},
	} {
		p := profile{
			algs:  map[tpm2.TPMAlgID]bool{tpm2.TPMAlgRSAPSS: true, tpm2.TPMAlgSHA256: true},
			fixed: map[tpm2.TPMPT]uint32{tpm2.TPMPTRevision: c.revision, tpm2.TPMPTModes: c.modes},
		}
		if got := slices.Contains(p.rsaSign(), driver.RSAPSSSHA256); got != c.offered {
			t.Errorf("revision %s: PSS is offered: %v", c.name, got)
		}
	}
}
