package vault

import (
	"fmt"
	"maps"
	"time"

	"strongroom.example/driver"
)

// An Origin says where a CMK's material comes from.
type Origin string

// The origins.
const (
	// OriginVault: the vault or its device made it.
	OriginVault Origin = "VAULT"
	// OriginExternal: its owner made it elsewhere and imports it.
	OriginExternal Origin = "EXTERNAL"
)

// originTable says for CMKs of which origin an operation is. An operation that is
// not listed is for all.
var originTable = map[Operation]Origin{
	OpRotateKey:                 OriginVault,
	OpParametersForImport:       OriginExternal,
	OpImportKeyMaterial:         OriginExternal,
	OpDeleteImportedKeyMaterial: OriginExternal,
}

// allows answers ErrUnsupported for an operation that is not for CMKs of origin o.
func (o Origin) allows(op Operation) error {
	switch want, limited := originTable[op]; {
	case !limited || want == o:
		return nil
	case want == OriginVault:
		return fmt.Errorf("%w: the material is the owner's own; make another CMK, import new material into it and re-encrypt", ErrUnsupported)
	}
	return fmt.Errorf("%w: the CMK was made without KeyOptions.Origin %s", ErrUnsupported, OriginExternal)
}

// A Residence says where material lives.
type Residence string

// The residences.
const (
	// Resident material was made in the device and never leaves it.
	Resident Residence = "RESIDENT"
	// Wrapped material was made in the vault, is stored wrapped, and is used in
	// locked memory. It is as strong as the weakest protector of the root.
	Wrapped Residence = "WRAPPED"
)

// A Provenance says where material was made. A move does not change it: resident
// material of another provenance than ProvenanceDevice was once outside the device.
type Provenance string

// The provenances.
const (
	// ProvenanceDevice: in the device, which it has never left.
	ProvenanceDevice Provenance = "DEVICE"
	// ProvenanceVault: in this process, by the software engine.
	ProvenanceVault Provenance = "VAULT"
	// ProvenanceImported: by the owner, elsewhere.
	ProvenanceImported Provenance = "IMPORTED"
)

// KeyOptions describe a new CMK. The zero value is a symmetric key on the default
// driver.
type KeyOptions struct {
	// Alias is a second name: 1 to 60 of A–Z a–z 0–9 _ and -, the first a letter or
	// digit. Unique; "" for none.
	Alias string
	// Description is at most 1024 bytes.
	Description string
	// Tags are at most 50, keys 1–128 bytes, values at most 256 bytes. With the
	// description they are at most 30 KiB as JSON, where a quotation mark or backslash
	// has two bytes, and a control character six.
	Tags map[string]string
	// Usage and Spec: empty means EncryptDecrypt and Symmetric. Where one of them
	// leaves no choice for the other, that may be empty too.
	Usage KeyUsage
	Spec  KeySpec
	// Origin: empty means OriginVault. A CMK of OriginExternal is made without
	// material, in PendingImport; see ParametersForImport.
	Origin Origin
	// Driver names one of Config.Drivers; empty means the default one, or the
	// software engine where that cannot do Spec or is slow at it.
	Driver string
	// MinLevel is the least protection that the CMK's material may have, in every version
	// and wherever it is moved: SOFTWARE < TPM < HSM. CreateKey, RotateKey, MoveKey and
	// imports fail with ErrUnsupported below it. A device that is slow at Spec is then
	// not passed over for the software engine. Empty: Config.MinLevel alone counts.
	MinLevel driver.ProtectionLevel
}

// Key is what the vault tells of a CMK. It holds no material.
type Key struct {
	ID          string            `json:"id"`
	Alias       string            `json:"alias,omitempty"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	State       KeyState          `json:"state"`
	Usage       KeyUsage          `json:"usage"`
	Spec        KeySpec           `json:"spec"`
	Origin      Origin            `json:"origin"`
	Created     time.Time         `json:"created"`
	Creator     Principal         `json:"creator"`
	// Version is the primary version, which encrypts; older ones only decrypt.
	// Versions are numbered from 1 without gaps. 0: the material was never imported;
	// the first import makes version 1, which stays the only one.
	Version uint32 `json:"version"`
	// ValidTo is when imported material expires; zero: never.
	ValidTo time.Time `json:"validTo,omitzero"`
	// Rotated is when the primary version was made.
	Rotated time.Time `json:"rotated"`
	// Residence, Level, Driver and Provenance are the primary version's.
	Residence  Residence              `json:"residence"`
	Level      driver.ProtectionLevel `json:"level"`
	Driver     string                 `json:"driver"`
	Provenance Provenance             `json:"provenance"`
	// MinLevel is that of KeyOptions.
	MinLevel driver.ProtectionLevel `json:"minLevel,omitempty"`
}

// copy returns a Key for a caller, who may change it: k's own maps are the cache's.
func (k Key) copy() Key {
	k.Tags = maps.Clone(k.Tags)
	return k
}

// settle takes over where the primary version lives.
func (k *Key) settle(ver version) {
	k.Residence, k.Level, k.Driver, k.Provenance = ver.Residence, ver.Level, ver.Driver, ver.Provenance
}

// KeyVersion is what the vault tells of one version of a CMK.
type KeyVersion struct {
	Key        string                 `json:"key"`
	Number     uint32                 `json:"number"`
	Created    time.Time              `json:"created"`
	Origin     Origin                 `json:"origin"`
	Residence  Residence              `json:"residence"`
	Level      driver.ProtectionLevel `json:"level"`
	Driver     string                 `json:"driver"`
	Provenance Provenance             `json:"provenance"`
	// SignAlgorithms lists the algorithms to which imported material is restricted; nil
	// for those of the spec. An RSA key with the identifier id-RSASSA-PSS signs by
	// RSA-PSS alone (RFC 4055).
	SignAlgorithms []SignAlgorithm `json:"signAlgorithms,omitempty"`
	// Attributes are what the device says of the material.
	Attributes map[string]string `json:"attributes,omitempty"`
}
