package tpm

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/go-tpm/tpm2"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm/internal/wire"
)

// A profile is the identity and the capabilities that a TPM reports.
type profile struct {
	algs     map[tpm2.TPMAlgID]bool
	curves   map[tpm2.TPMECCCurve]bool
	commands map[tpm2.TPMCC]bool
	fixed    map[tpm2.TPMPT]uint32
	// sm2Hash is the hash algorithm under which the TPM signs SM2 digests, found by
	// trial. 0: it does not sign with SM2.
	sm2Hash tpm2.TPMAlgID
}

// queryCapabilities reads the profile. It sends four commands, or one if RootOnly is set.
func (d *device) queryCapabilities() (profile, error) {
	p := profile{
		algs:     make(map[tpm2.TPMAlgID]bool),
		curves:   make(map[tpm2.TPMECCCurve]bool),
		commands: make(map[tpm2.TPMCC]bool),
	}
	var err error
	if p.fixed, err = d.properties(tpm2.TPMPTFamilyIndicator); err != nil {
		return p, err
	}
	if d.cfg.RootOnly {
		return p, nil
	}
	if err := d.queryAlgorithms(p); err != nil {
		return p, err
	}
	for _, c := range []struct {
		capability tpm2.TPMCap
		first      uint32
		each       func(*tpm2.TPMSCapabilityData) error
	}{
		{tpm2.TPMCapECCCurves, 0, p.addCurves},
		{tpm2.TPMCapCommands, uint32(tpm2.TPMCCNVUndefineSpaceSpecial), p.addCommands},
	} {
		rsp, err := tpm2.GetCapability{Capability: c.capability, Property: c.first, PropertyCount: 254}.Execute(&d.link)
		if err != nil {
			return p, err
		}
		if err := c.each(&rsp.CapabilityData); err != nil {
			return p, err
		}
	}
	return p, nil
}

// queryAlgorithms reads the supported algorithms. It does not use go-tpm, which panics on a
// response without parameters.
func (d *device) queryAlgorithms(p profile) error {
	var params []byte
	for _, n := range []uint32{uint32(tpm2.TPMCapAlgs), 0, 254} {
		params = binary.BigEndian.AppendUint32(params, n)
	}
	rsp, err := d.execute(wire.Command{Code: tpm2.TPMCCGetCapability, Params: params})
	if err != nil {
		return err
	}
	r := wire.Reader{Rest: rsp.Params}
	r.U8() // moreData
	if r.U32() != uint32(tpm2.TPMCapAlgs) {
		return wire.ErrResponse
	}
	for n := r.U32(); n > 0 && !r.Bad; n-- {
		p.algs[tpm2.TPMAlgID(r.U16())] = true
		r.U32() // the attributes
	}
	return r.Done()
}

func (p profile) addCurves(data *tpm2.TPMSCapabilityData) error {
	list, err := data.Data.ECCCurves()
	if err != nil {
		return err
	}
	for _, c := range list.ECCCurves {
		p.curves[c] = true
	}
	return nil
}

func (p profile) addCommands(data *tpm2.TPMSCapabilityData) error {
	list, err := data.Data.Command()
	if err != nil {
		return err
	}
	for _, c := range list.CommandAttributes {
		p.commands[tpm2.TPMCC(c.CommandIndex)] = true
	}
	return nil
}

// properties returns the group of properties that begins at first.
func (d *device) properties(first tpm2.TPMPT) (map[tpm2.TPMPT]uint32, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: uint32(first), PropertyCount: 127}.Execute(&d.link)
	if err != nil {
		return nil, err
	}
	list, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil {
		return nil, err
	}
	found := make(map[tpm2.TPMPT]uint32)
	for _, p := range list.TPMProperty {
		found[p.Property] = p.Value
	}
	return found, nil
}

// text joins properties that hold four characters each.
func (p profile) text(list ...tpm2.TPMPT) string {
	var b []byte
	for _, property := range list {
		b = binary.BigEndian.AppendUint32(b, p.fixed[property])
	}
	return strings.TrimSpace(strings.ReplaceAll(string(b), "\x00", ""))
}

// identity returns the identity of the TPM.
func (p profile) identity(serial string) driver.Device {
	return driver.Device{
		Manufacturer: p.text(tpm2.TPMPTManufacturer),
		Model:        strings.Join(strings.Fields(p.text(tpm2.TPMPTVendorString1, tpm2.TPMPTVendorString2, tpm2.TPMPTVendorString3, tpm2.TPMPTVendorString4)), " "),
		Serial:       serial,
		Firmware:     fmt.Sprintf("%08x.%08x", p.fixed[tpm2.TPMPTFirmwareVersion1], p.fixed[tpm2.TPMPTFirmwareVersion2]),
	}
}

// software reports whether the TPM is a program: libtpms or the reference implementation
// of the specification, recognized by the manufacturer and model that they report. It
// does not recognize a program that reports another name.
func (p profile) software() bool {
	d := p.identity("")
	switch d.Manufacturer {
	case "IBM":
		return strings.HasPrefix(d.Model, "SW")
	case "XCG":
		return strings.Contains(d.Model, "fTPM")
	case "MSFT":
		return strings.Contains(d.Model, "xCG fTPM") // firmware TPMs contain it too, under their own manufacturer's name
	}
	return d.Manufacturer == "SIMU"
}

// saltsByHash reports whether PSS salts are as long as the hash. Up to revision 1.16 they
// are as long as fits, except in chips made for FIPS 140-2 (Part 1, annex B.7).
func (p profile) saltsByHash() bool {
	const revision116, modeFIPS = 116, 1
	return p.fixed[tpm2.TPMPTRevision] > revision116 || p.fixed[tpm2.TPMPTModes]&modeFIPS != 0
}

// buffer returns the longest data parameter of a command in bytes.
func (p profile) buffer() int {
	const least = 1024
	if n := p.fixed[tpm2.TPMPTInputBuffer]; n > 0 {
		return int(n)
	}
	return least
}
