package vault

import (
	"maps"
	"slices"

	"strongroom.example/driver"
)

// DriverCapabilities describes what one of a vault's drivers can do.
type DriverCapabilities struct {
	// Name is the driver's name in KeyOptions.Driver and Key.Driver: "soft", or its name in
	// Config.Drivers.
	Name string
	// Kind is the type of driver, such as "soft", "pkcs11" or "tpm". Device identifies the
	// device and is empty for software.
	Kind   string
	Device driver.Device
	// Level is the protection level of keys that are resident in the device.
	Level driver.ProtectionLevel
	// Keys lists the kinds of CMK that the driver supports, in the order of the vault's own
	// list.
	Keys []KeyCapability
}

// KeyCapability describes how a driver supports CMKs of one spec and usage.
type KeyCapability struct {
	Spec  KeySpec
	Usage KeyUsage
	// Residence and Level are those of a new CMK.
	Residence Residence
	Level     driver.ProtectionLevel
	// Default: CreateKey uses this driver if KeyOptions names no driver and no level.
	Default bool
	// Slow: the device takes tens of milliseconds or more for each call.
	Slow bool
	// Sign and Decrypt list the algorithms for the usages SignVerify and AsymmetricDecrypt.
	Sign    []SignAlgorithm
	Decrypt []EncryptionAlgorithm
	// Wrappings lists the algorithms by which material of a CMK of OriginExternal can be
	// imported. DeviceWrappings lists those that the device unwraps itself, on PathDevice.
	// Both are empty if the driver does not import such material.
	Wrappings       []WrappingAlgorithm
	DeviceWrappings []WrappingAlgorithm
}

// Capabilities describes the vault's drivers, within the vault's edition: first the
// software engine, then those of Config.Drivers by name. It does not access the devices,
// because drivers determine their capabilities when they are opened. It writes no audit
// record.
func (v *Vault) Capabilities() []DriverCapabilities {
	names := []string{softDriver}
	names = append(names, slices.Sorted(maps.Keys(v.cfg.Drivers))...)
	all := make([]DriverCapabilities, 0, len(names))
	for _, name := range names {
		info := v.drivers[name].Info()
		one := DriverCapabilities{Name: name, Kind: info.Name, Device: info.Device, Level: info.Level}
		for _, row := range specTable {
			if can, ok := info.Find(row.device(v.suite)); ok && excluded(v.cfg.Edition, row.spec) == nil {
				one.Keys = append(one.Keys, v.keyCapability(name, row, can))
			}
		}
		all = append(all, one)
	}
	return all
}

// keyCapability describes how a driver supports keys of one row.
func (v *Vault) keyCapability(name string, row specRow, can driver.SpecInfo) KeyCapability {
	k := KeyCapability{Spec: row.spec, Usage: row.usage, Residence: Wrapped, Level: driver.LevelSoftware, Slow: can.Slow}
	if can.Resident {
		k.Residence, k.Level = Resident, v.drivers[name].Info().Level
	}
	least, _ := v.minLevel("")
	k.Default = v.driverFor(row, OriginVault, least) == name
	for _, r := range signTable {
		if row.usage == SignVerify && r.spec == row.spec && slices.Contains(can.Sign, r.device) {
			k.Sign = append(k.Sign, r.alg)
		}
	}
	for _, r := range decryptTable {
		named := row.usage == AsymmetricDecrypt && slices.Contains(r.specs, row.spec)
		if named && slices.Contains(can.Decrypt, r.device) && excluded(v.cfg.Edition, r.alg) == nil {
			k.Decrypt = append(k.Decrypt, r.alg)
		}
	}
	k.Wrappings, k.DeviceWrappings = v.wrappings(name, row)
	return k
}

// wrappings returns the algorithms by which material of a row can be imported into a
// driver, and those of them that the device unwraps.
func (v *Vault) wrappings(name string, row specRow) (all, inDevice []WrappingAlgorithm) {
	d, spec := v.drivers[name], row.device(v.suite)
	if !importable(d, spec) {
		return nil, nil
	}
	for _, w := range wrapTable {
		rows, err := chooseWrap(ImportRequest{Algorithm: w.alg, WrappingKeySpec: w.key}, spec, v.cfg.Edition)
		if err != nil || len(rows) == 0 {
			continue
		}
		device := unwraps(d, spec, w)
		if device {
			inDevice = append(inDevice, w.alg)
		}
		if _, err := v.hostImporter(d, spec, w); device || err == nil {
			all = append(all, w.alg)
		}
	}
	return all, inDevice
}
