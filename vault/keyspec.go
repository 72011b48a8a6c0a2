package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"strongroom.example/driver"
	"strongroom.example/internal/suite"
	"strongroom.example/vault/internal/editionrules"
	"strongroom.example/vault/internal/wrapping"
)

// A KeySpec is the type of a CMK's material.
type KeySpec string

// The key specs.
const (
	// Symmetric is a derivation key: every message is encrypted under a derived key of its
	// own, by AES-256-GCM, or by SM4-GCM in the SM edition.
	Symmetric KeySpec = "SYMMETRIC_DEFAULT"
	// HMAC256 is a key for HMAC with SHA-256, the others of SHA-2 correspondingly, and HMACSM3
	// for HMAC with SM3.
	HMAC224 KeySpec = "HMAC_224"
	HMAC256 KeySpec = "HMAC_256"
	HMAC384 KeySpec = "HMAC_384"
	HMAC512 KeySpec = "HMAC_512"
	HMACSM3 KeySpec = "HMAC_SM3"

	RSA2048 KeySpec = "RSA_2048"
	RSA3072 KeySpec = "RSA_3072"
	RSA4096 KeySpec = "RSA_4096"
	ECCP256 KeySpec = "ECC_P256"
	ECCP384 KeySpec = "ECC_P384"
	ECCP521 KeySpec = "ECC_P521"
	Ed25519 KeySpec = "ED25519"
	SM2     KeySpec = "SM2"
)

// specRow is one permitted pair of spec and usage.
type specRow struct {
	spec  KeySpec
	usage KeyUsage
	alg   driver.KeyAlgorithm
}

// specTable lists the permitted pairs. The first is the default.
var specTable = []specRow{
	{Symmetric, EncryptDecrypt, ""}, // that of the edition
	{HMAC256, GenerateVerifyMac, driver.HMACSHA256},
	{HMACSM3, GenerateVerifyMac, driver.HMACSM3},
	{HMAC224, GenerateVerifyMac, driver.HMACSHA224},
	{HMAC384, GenerateVerifyMac, driver.HMACSHA384},
	{HMAC512, GenerateVerifyMac, driver.HMACSHA512},
	{RSA2048, SignVerify, driver.RSA2048},
	{RSA3072, SignVerify, driver.RSA3072},
	{RSA4096, SignVerify, driver.RSA4096},
	{ECCP256, SignVerify, driver.ECP256},
	{ECCP384, SignVerify, driver.ECP384},
	{ECCP521, SignVerify, driver.ECP521},
	{Ed25519, SignVerify, driver.Ed25519},
	{SM2, SignVerify, driver.SM2},
	{RSA2048, AsymmetricDecrypt, driver.RSA2048},
	{RSA3072, AsymmetricDecrypt, driver.RSA3072},
	{RSA4096, AsymmetricDecrypt, driver.RSA4096},
	{SM2, AsymmetricDecrypt, driver.SM2},
}

// device returns the spec of the material in a driver.
func (r specRow) device(s suite.ID) driver.KeySpec {
	spec := driver.KeySpec{Algorithm: r.alg, Usage: driver.Derive}
	switch {
	case r.usage == SignVerify:
		spec.Usage = driver.Sign
	case r.usage == AsymmetricDecrypt:
		spec.Usage = driver.Decrypt
	case r.alg == "" && s == suite.SM:
		spec.Algorithm = driver.HMACSM3
	case r.alg == "":
		spec.Algorithm = driver.HMACSHA256
	}
	return spec
}

// macSpec returns the default spec of usage GenerateVerifyMac.
func macSpec(e Edition) KeySpec {
	if e == SM {
		return HMACSM3
	}
	return HMAC256
}

// chooseSpec returns the only row that matches spec and usage. An empty argument matches
// all, but of the specs of GenerateVerifyMac only the default.
func chooseSpec(spec KeySpec, usage KeyUsage, e Edition) (specRow, error) {
	if spec == "" && usage == "" {
		return specTable[0], nil
	}
	var fit []specRow
	for _, r := range specTable {
		other := spec == "" && r.usage == GenerateVerifyMac && r.spec != macSpec(e)
		if (spec == "" || spec == r.spec) && (usage == "" || usage == r.usage) && !other {
			fit = append(fit, r)
		}
	}
	switch {
	case len(fit) == 0 && len(specsOf(usage)) == 0:
		return specRow{}, fmt.Errorf("%w: usage %.80q; the usages are %v", ErrUnsupported, usage,
			[]KeyUsage{EncryptDecrypt, AsymmetricDecrypt, SignVerify, GenerateVerifyMac})
	case len(fit) == 0:
		return specRow{}, fmt.Errorf("%w: usage %.80q with spec %.80q; the specs are %v", ErrUnsupported, usage, spec, specsOf(usage))
	case len(fit) > 1:
		return specRow{}, invalid("usage %.80q with spec %.80q is ambiguous; set both", usage, spec)
	}
	return fit[0], editionrules.Excluded(e, fit[0].spec)
}

// specsOf returns the specs of a usage; an empty one matches all.
func specsOf(usage KeyUsage) (specs []KeySpec) {
	for _, r := range specTable {
		if (usage == "" || r.usage == usage) && !slices.Contains(specs, r.spec) {
			specs = append(specs, r.spec)
		}
	}
	return specs
}

// DriverCapabilities describes the abilities of one of a vault's drivers.
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
			if can, ok := info.Find(row.device(v.suite)); ok && editionrules.Excluded(v.cfg.Edition, row.spec) == nil {
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
		if named && slices.Contains(can.Decrypt, r.device) && editionrules.Excluded(v.cfg.Edition, r.alg) == nil {
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
	if !wrapping.Importable(d, spec) {
		return nil, nil
	}
	for _, w := range wrapping.Table {
		rows, err := wrapping.Choose(wrapping.Request{Algorithm: w.Algorithm, Key: w.Key}, spec, v.cfg.Edition)
		if err != nil || len(rows) == 0 {
			continue
		}
		device := w.UnwrapsIn(d, spec)
		if device {
			inDevice = append(inDevice, WrappingAlgorithm(w.Algorithm))
		}
		if _, err := w.HostImporter(v.drivers[softDriver], d, spec); device || err == nil {
			all = append(all, WrappingAlgorithm(w.Algorithm))
		}
	}
	return all, inDevice
}

// AlgorithmCapability is one row of the matrix of algorithms: a driver computes the algorithm
// with CMKs of this usage and spec.
type AlgorithmCapability struct {
	// Driver is the driver's name in KeyOptions.Driver.
	Driver string
	Usage  KeyUsage
	Spec   KeySpec
	// Algorithm is a SignAlgorithm or EncryptionAlgorithm for the usages SignVerify and
	// AsymmetricDecrypt. For EncryptDecrypt it is the suite of messages, such as
	// AES_256_GCM_SHA_256, and for GenerateVerifyMac HMAC_SM3 or that
	// of SHA-2, such as HMAC_SHA_256.
	Algorithm string
	// Residence, Level, Default and Slow are as in KeyCapability.
	Residence Residence
	Level     driver.ProtectionLevel
	Default   bool
	Slow      bool
}

// ListAlgorithms returns the algorithms of each driver, in the order of Vault.Capabilities,
// which describes the drivers in more detail. Errors: ErrDenied.
func (c Client) ListAlgorithms(ctx context.Context) ([]AlgorithmCapability, error) {
	return useVault(ctx, c, request{op: OpListAlgorithms}, func(context.Context, *decision) (out []AlgorithmCapability, err error) {
		for _, d := range c.vault.Capabilities() {
			for _, k := range d.Keys {
				for _, alg := range c.vault.algorithms(k) {
					out = append(out, AlgorithmCapability{d.Name, k.Usage, k.Spec, alg, k.Residence, k.Level, k.Default, k.Slow})
				}
			}
		}
		return out, nil
	}, nil)
}

// algorithms returns the names of the algorithms that CMKs of one kind compute.
func (v *Vault) algorithms(k KeyCapability) (names []string) {
	switch k.Usage {
	case EncryptDecrypt:
		return []string{v.suite.String()}
	case GenerateVerifyMac:
		if row, err := chooseSpec(k.Spec, k.Usage, v.cfg.Edition); err == nil {
			return []string{string(row.device(v.suite).Algorithm)}
		}
	}
	for _, alg := range k.Sign {
		names = append(names, string(alg))
	}
	for _, alg := range k.Decrypt {
		names = append(names, string(alg))
	}
	return names
}

// A SignAlgorithm is a signature algorithm of CMKs of usage SignVerify. Signatures of ECDSA
// and SM2 are encoded as ASN.1 DER.
type SignAlgorithm string

// The signature algorithms.
const (
	ECCP256R1 SignAlgorithm = "ECC_P256_R1" // ECDSA with SHA-256
	ECCP384R1 SignAlgorithm = "ECC_P384_R1" // ECDSA with SHA-384
	ECCP521R1 SignAlgorithm = "ECC_P521_R1" // ECDSA with SHA-512
	// SM2DSA is the algorithm of GM/T 0003.2; the digest is SM3(Z ‖ M).
	SM2DSA SignAlgorithm = "SM2DSA"
	// The RSA-PSS algorithms use the same hash for the message and for MGF1, and a salt as
	// long as the hash (RFC 8017, 8.1).
	RSAPSSSHA256   SignAlgorithm = "RSA_PSS_SHA_256"
	RSAPSSSHA384   SignAlgorithm = "RSA_PSS_SHA_384"
	RSAPSSSHA512   SignAlgorithm = "RSA_PSS_SHA_512"
	RSAPKCS1SHA256 SignAlgorithm = "RSA_PKCS1_SHA_256"
	RSAPKCS1SHA384 SignAlgorithm = "RSA_PKCS1_SHA_384"
	RSAPKCS1SHA512 SignAlgorithm = "RSA_PKCS1_SHA_512"
	// EdDSA is pure Ed25519 (RFC 8032). It signs messages only, not digests.
	EdDSA SignAlgorithm = "ED25519"
)

// signRow is one signature algorithm of one spec.
type signRow struct {
	spec   KeySpec
	alg    SignAlgorithm
	device driver.SignAlg
}

// signTable lists the algorithms of each spec; the first of a spec is its default.
var signTable = []signRow{
	{ECCP256, ECCP256R1, driver.ECDSASHA256},
	{ECCP384, ECCP384R1, driver.ECDSASHA384},
	{ECCP521, ECCP521R1, driver.ECDSASHA512},
	{SM2, SM2DSA, driver.SM2DSA},
	{Ed25519, EdDSA, driver.EdDSAEd25519},
	{RSA2048, RSAPSSSHA256, driver.RSAPSSSHA256},
	{RSA2048, RSAPSSSHA384, driver.RSAPSSSHA384},
	{RSA2048, RSAPSSSHA512, driver.RSAPSSSHA512},
	{RSA2048, RSAPKCS1SHA256, driver.RSAPKCS1SHA256},
	{RSA2048, RSAPKCS1SHA384, driver.RSAPKCS1SHA384},
	{RSA2048, RSAPKCS1SHA512, driver.RSAPKCS1SHA512},
	{RSA3072, RSAPSSSHA256, driver.RSAPSSSHA256},
	{RSA3072, RSAPSSSHA384, driver.RSAPSSSHA384},
	{RSA3072, RSAPSSSHA512, driver.RSAPSSSHA512},
	{RSA3072, RSAPKCS1SHA256, driver.RSAPKCS1SHA256},
	{RSA3072, RSAPKCS1SHA384, driver.RSAPKCS1SHA384},
	{RSA3072, RSAPKCS1SHA512, driver.RSAPKCS1SHA512},
	{RSA4096, RSAPSSSHA256, driver.RSAPSSSHA256},
	{RSA4096, RSAPSSSHA384, driver.RSAPSSSHA384},
	{RSA4096, RSAPSSSHA512, driver.RSAPSSSHA512},
	{RSA4096, RSAPKCS1SHA256, driver.RSAPKCS1SHA256},
	{RSA4096, RSAPKCS1SHA384, driver.RSAPKCS1SHA384},
	{RSA4096, RSAPKCS1SHA512, driver.RSAPKCS1SHA512},
}

// signAlgorithms returns the signature algorithms of a spec.
func signAlgorithms(spec KeySpec) (all []SignAlgorithm) {
	for _, r := range signTable {
		if r.spec == spec {
			all = append(all, r.alg)
		}
	}
	return all
}

// An EncryptionAlgorithm is an algorithm that encrypts data to a CMK of usage
// AsymmetricDecrypt.
type EncryptionAlgorithm string

// The encryption algorithms.
const (
	// RSAESPKCS1V15 never reports bad padding: a ciphertext with bad padding decrypts to
	// bytes of pseudorandom length and content. The FIPS edition allows neither this
	// algorithm nor SHA-1.
	RSAESPKCS1V15   EncryptionAlgorithm = "RSAES_PKCS1_V1_5"
	RSAESOAEPSHA1   EncryptionAlgorithm = "RSAES_OAEP_SHA_1"
	RSAESOAEPSHA256 EncryptionAlgorithm = "RSAES_OAEP_SHA_256"
	// SM2C1C3C2 is SM2 encryption with the ciphertext in ASN.1 (GM/T 0009).
	SM2C1C3C2 EncryptionAlgorithm = "SM2_C1C3C2_ASN1"
)

// MaxSM2Ciphertext is the maximum length of an SM2 ciphertext in bytes. The ciphertext of
// up to 146 bytes of plaintext always fits.
const MaxSM2Ciphertext = 256

// decryptRow is one algorithm and the specs that support it.
type decryptRow struct {
	alg    EncryptionAlgorithm
	device driver.EncryptAlg
	specs  []KeySpec
}

// decryptTable lists the algorithms. The first for a spec is its default.
var decryptTable = []decryptRow{
	{RSAESOAEPSHA256, driver.RSAOAEPSHA256, []KeySpec{RSA2048, RSA3072, RSA4096}},
	{RSAESOAEPSHA1, driver.RSAOAEPSHA1, []KeySpec{RSA2048, RSA3072, RSA4096}},
	{RSAESPKCS1V15, driver.RSARaw, []KeySpec{RSA2048, RSA3072, RSA4096}},
	{SM2C1C3C2, driver.SM2ASN1, []KeySpec{SM2}},
}

// chooseDecrypt returns the row of alg for a spec, or of the spec's default if alg is
// empty.
func chooseDecrypt(spec KeySpec, alg EncryptionAlgorithm, e Edition) (decryptRow, error) {
	for _, r := range decryptTable {
		if !slices.Contains(r.specs, spec) || alg != "" && r.alg != alg {
			continue
		}
		return r, editionrules.Excluded(e, r.alg)
	}
	return decryptRow{}, invalid("algorithm %.80q does not exist for spec %s", alg, spec)
}
