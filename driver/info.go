package driver

import "slices"

// Info is what a driver says of its device: the capability table, as data.
type Info struct {
	// Name is the kind of driver: "soft", "pkcs11", "tpm".
	Name string
	// Level is the protection that the device gives to resident keys.
	Level ProtectionLevel
	// Device identifies the one device, so that a vault moved to another machine
	// is told apart from a damaged one.
	Device Device
	// Specs lists every spec the device can do. What is not listed is Unsupported.
	Specs []SpecInfo
	// The optional interfaces that the Driver has; what is false here is not
	// called, whatever the Go type has.
	Lister, Random, Counter bool
}

// A ProtectionLevel says what stands between a key and a thief.
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
	// Resident: the material is made in the device and never leaves it.
	Resident bool
	// Slow: a call takes so long (a TPM: tens of milliseconds and more, one at a time)
	// that a vault leaves keys for every message to the software engine, wrapped,
	// unless it is told otherwise key by key.
	Slow bool
	// Sign and Decrypt list the algorithms for those usages.
	Sign    []SignAlg
	Decrypt []EncryptAlg
	// Import: the Driver is an Importer and takes this spec.
	Import bool
	// WrappedImport lists how a WrappedImporter takes this spec.
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
