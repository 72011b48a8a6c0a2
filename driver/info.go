package driver

import "slices"

// Info describes a driver's device: its identity and its capability table, as data.
type Info struct {
	// Name is the kind of driver: "soft", "pkcs11" or "tpm".
	Name string
	// Level is the protection that the device gives to resident keys.
	Level ProtectionLevel
	// Device identifies this one device. It distinguishes a vault that was moved to another
	// machine from a damaged vault.
	Device Device
	// Specs lists every spec that the device can do. Any other spec is Unsupported.
	Specs []SpecInfo
	// Lister, Random and Counter report which optional interfaces the Driver offers. A
	// vault does not call one whose field is false, whatever methods the Go type has.
	Lister, Random, Counter bool
}

// A ProtectionLevel names the protection that an attacker must break to obtain a key.
type ProtectionLevel string

// The protection levels.
const (
	LevelHSM      ProtectionLevel = "HSM"
	LevelTPM      ProtectionLevel = "TPM"
	LevelSoftware ProtectionLevel = "SOFTWARE"
)

// Device identifies a device. Serial is a token's serial number, or the name of a
// TPM's storage root key in hexadecimal; it is empty for software.
type Device struct {
	Manufacturer, Model, Serial, Firmware string
}

// SpecInfo is one row of the capability table.
type SpecInfo struct {
	Spec KeySpec
	// Resident: the material is generated in the device and never leaves it in the clear.
	Resident bool
	// Slow: one call takes tens of milliseconds or more, and the device does one at a
	// time (a TPM). A vault then uses keys that serve every message in the software
	// engine, wrapped by the device, unless the caller requests a resident key for the
	// CMK.
	Slow bool
	// Sign and Decrypt list the algorithms for those usages.
	Sign    []SignAlg
	Decrypt []EncryptAlg
	// Import: the Driver is an Importer and takes this spec.
	Import bool
	// WrappedImport lists the algorithms by which a WrappedImporter takes this spec.
	WrappedImport []WrapAlg
}

// Find returns the row of a spec.
func (i Info) Find(spec KeySpec) (SpecInfo, bool) {
	n := slices.IndexFunc(i.Specs, func(s SpecInfo) bool { return s.Spec == spec })
	if n < 0 {
		return SpecInfo{}, false
	}
	return i.Specs[n], true
}
