package vault

import (
	"fmt"
	"maps"
	"time"

	"strongroom.example/driver"
)

// An Origin is the source of a CMK's material.
type Origin string

// The origins.
const (
	// OriginVault: the vault or its device generates the material.
	OriginVault Origin = "VAULT"
	// OriginExternal: the owner generates the material elsewhere and imports it.
	OriginExternal Origin = "EXTERNAL"
)

// originTable lists the operations that are limited to CMKs of one origin. An operation
// that is not listed is available for all.
var originTable = map[Operation]Origin{
	OpRotateKey:                 OriginVault,
	OpParametersForImport:       OriginExternal,
	OpImportKeyMaterial:         OriginExternal,
	OpDeleteImportedKeyMaterial: OriginExternal,
}

// allows returns ErrUnsupported for an operation that CMKs of origin o do not have.
func (o Origin) allows(op Operation) error {
	switch want, limited := originTable[op]; {
	case !limited || want == o:
		return nil
	case want == OriginVault:
		return fmt.Errorf("%w: the material is the owner's own; make another CMK, import new material into it and re-encrypt", ErrUnsupported)
	}
	return fmt.Errorf("%w: the CMK was made without KeyOptions.Origin %s", ErrUnsupported, OriginExternal)
}

// A Residence is the place where material is kept.
type Residence string

// The residences.
const (
	// Resident material is kept in the device and never leaves it.
	Resident Residence = "RESIDENT"
	// Wrapped material is stored encrypted, and used in locked memory. It is as strong as
	// the weakest protector of the root.
	Wrapped Residence = "WRAPPED"
)

// A Provenance is the place where material was generated. A move does not change it:
// resident material with a provenance other than ProvenanceDevice was once outside the
// device.
type Provenance string

// The provenances.
const (
	// ProvenanceDevice: in the device, which the material has never left.
	ProvenanceDevice Provenance = "DEVICE"
	// ProvenanceVault: in this process, by the software engine.
	ProvenanceVault Provenance = "VAULT"
	// ProvenanceImported: elsewhere, by the owner.
	ProvenanceImported Provenance = "IMPORTED"
)

// KeyOptions describe a new CMK. The zero value describes a symmetric key on the default
// driver.
type KeyOptions struct {
	// Alias is an optional second name: 1 to 60 of A–Z a–z 0–9 _ and -, beginning with a
	// letter or digit. It is unique in the vault.
	Alias string
	// Description has at most 1024 bytes.
	Description string
	// Tags are at most 50, with keys of 1 to 128 bytes and values of at most 256 bytes.
	// Together with the description they have at most 30 KiB as JSON, which encodes a
	// quotation mark or backslash as two bytes and a control character as six.
	Tags map[string]string
	// Usage and Spec: empty means EncryptDecrypt and Symmetric. If one of them determines
	// the other, the other may be empty too.
	Usage KeyUsage
	Spec  KeySpec
	// Origin: empty means OriginVault. A CMK of OriginExternal is created without material,
	// in the state PendingImport; see ParametersForImport.
	Origin Origin
	// Driver names one of Config.Drivers. Empty means the default driver, or the software
	// engine if the default driver does not support Spec or is slow at it.
	Driver string
	// MinLevel is the lowest protection level that the CMK's material may have, in every
	// version and wherever it is moved: SOFTWARE < TPM < HSM. CreateKey, RotateKey, MoveKey
	// and imports fail with ErrUnsupported below it. If it is set, CreateKey does not choose
	// the software engine instead of a device that is slow at Spec. Empty means that only
	// Config.MinLevel applies.
	MinLevel driver.ProtectionLevel
}

// Key is the description of a CMK. It holds no material.
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
	// Version is the number of the primary version, which encrypts; older versions only
	// decrypt. Versions are numbered from 1 without gaps. 0 means that no material was
	// imported yet: the first import makes version 1, which remains the only one.
	Version uint32 `json:"version"`
	// ValidTo is the time when imported material expires. Zero means never.
	ValidTo time.Time `json:"validTo,omitzero"`
	// Rotated is the time when the primary version was made.
	Rotated time.Time `json:"rotated"`
	// Residence, Level, Driver and Provenance describe the primary version.
	Residence  Residence              `json:"residence"`
	Level      driver.ProtectionLevel `json:"level"`
	Driver     string                 `json:"driver"`
	Provenance Provenance             `json:"provenance"`
	// MinLevel is the value of KeyOptions.MinLevel.
	MinLevel driver.ProtectionLevel `json:"minLevel,omitempty"`
}

// copy returns a Key that the caller may change. The maps of k itself belong to the cache.
func (k Key) copy() Key {
	k.Tags = maps.Clone(k.Tags)
	return k
}

// settle copies the place of the primary version from ver.
func (k *Key) settle(ver version) {
	k.Residence, k.Level, k.Driver, k.Provenance = ver.Residence, ver.Level, ver.Driver, ver.Provenance
}

// KeyVersion is the description of one version of a CMK.
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
	// means those of the spec. An RSA key with the identifier id-RSASSA-PSS signs with
	// RSA-PSS only (RFC 4055).
	SignAlgorithms []SignAlgorithm `json:"signAlgorithms,omitempty"`
	// Attributes are the properties that the device reports for the material.
	Attributes map[string]string `json:"attributes,omitempty"`
}
