package bench

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"path/filepath"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/vault"
)

// A vaultOn is a vault whose new keys are in a device.
type vaultOn struct {
	vault.Client
	device string // the name of the driver
	logKey string
	dir    string // everything of the vault is below it
	made   *recorder
}

// newVault creates a vault over a device. When the benchmark ends it is closed, and the keys
// that it made in the device are destroyed. The vault itself is unlocked by a key file,
// which costs no key derivation.
func newVault(b *testing.B, m *opened) vaultOn {
	b.Helper()
	dir := b.TempDir()
	file := filepath.Join(dir, "key")
	if err := soft.CreateKeyFile(file); err != nil {
		b.Fatal(err)
	}
	on, cfg := vaultOn{device: "soft"}, vault.Config{}
	if m.info.Name != "soft" {
		on = vaultOn{device: "device", made: newRecorder(m.driver)}
		cfg = vault.Config{Drivers: map[string]driver.Driver{"device": on.made}, Driver: "device"}
	}
	v, err := vault.Create(b.Context(), filepath.Join(dir, "vault"), cfg, soft.KeyFile(file))
	if err != nil {
		b.Fatal(err)
	}
	on.Client, on.logKey, on.dir = v.As(vault.DefaultOwner), v.LogKey(), dir
	b.Cleanup(func() {
		if err := v.Close(); err != nil {
			b.Error(err)
		}
		if on.made == nil {
			return
		}
		if err := on.made.destroyAll(); err != nil {
			b.Error(err)
		}
	})
	return on
}

// key creates a CMK in the device, or, if it is symmetric, where the vault puts it.
func (v vaultOn) key(b *testing.B, o vault.KeyOptions) string {
	b.Helper()
	if o.Spec != "" && o.Spec != vault.Symmetric {
		o.Driver = v.device
	}
	return must(v.CreateKey(b.Context(), o)).ID
}

// sizes are the lengths of the plaintexts of Encrypt and Decrypt.
var sizes = []struct {
	name   string
	length int
}{{"32B", 32}, {"1KiB", 1024}, {"4KiB", 4096}}

func benchEncrypt(b *testing.B, m *opened) {
	b.Run(m.name(), func(b *testing.B) {
		v := newVault(b, m)
		key := v.key(b, vault.KeyOptions{})
		for _, size := range sizes {
			b.Run("size="+size.name, func(b *testing.B) { sweep(b, m.Callers, v.encrypt(key, size.length)) })
		}
	})
}

func (v vaultOn) encrypt(key string, length int) act {
	text := make([]byte, length)
	return func(ctx context.Context, _ []byte) error {
		_, err := v.Encrypt(ctx, key, text, nil)
		return err
	}
}

func benchDecryptData(b *testing.B, m *opened) {
	b.Run(m.name(), func(b *testing.B) {
		v := newVault(b, m)
		key := v.key(b, vault.KeyOptions{})
		for _, size := range sizes {
			b.Run("size="+size.name, func(b *testing.B) { sweep(b, m.Callers, v.decrypt(b, key, size.length)) })
		}
	})
}

func (v vaultOn) decrypt(b *testing.B, key string, length int) act {
	b.Helper()
	ct := must(v.Encrypt(b.Context(), key, make([]byte, length), nil))
	return func(ctx context.Context, dst []byte) error {
		_, err := v.AppendDecrypt(ctx, dst, ct, nil)
		return err
	}
}

func benchGenerateDataKey(b *testing.B, m *opened) {
	b.Run(m.name(), func(b *testing.B) {
		v := newVault(b, m)
		sweep(b, m.Callers, v.generateDataKey(v.key(b, vault.KeyOptions{})))
	})
}

// generateDataKey includes Destroy.
func (v vaultOn) generateDataKey(key string) act {
	return func(ctx context.Context, _ []byte) error {
		k, err := v.GenerateDataKey(ctx, key, vault.DataKey256, nil)
		if err == nil {
			k.Destroy()
		}
		return err
	}
}

// benchOpenDataKey includes Destroy.
func benchOpenDataKey(b *testing.B, m *opened) {
	b.Run(m.name(), func(b *testing.B) {
		v := newVault(b, m)
		ct := must(v.GenerateDataKeyWithoutPlaintext(b.Context(), v.key(b, vault.KeyOptions{}), vault.DataKey256, nil))
		sweep(b, m.Callers, func(ctx context.Context, _ []byte) error {
			k, err := v.OpenDataKey(ctx, ct, nil)
			if err == nil {
				k.Destroy()
			}
			return err
		})
	})
}

// benchAuditAppend measures GenerateRandom of one byte, whose work is its audit record. The
// device is not asked, so that one sweep is enough.
func benchAuditAppend(b *testing.B, m *opened) {
	b.Run(m.name(), func(b *testing.B) {
		callers := m.few()
		if m.info.Name == "soft" {
			callers = m.Callers
		}
		sweep(b, callers, newVault(b, m).auditAppend())
	})
}

func (v vaultOn) auditAppend() act {
	return func(ctx context.Context, _ []byte) error {
		_, err := v.GenerateRandom(ctx, 1)
		return err
	}
}

// benchCreateKey measures CreateKey of the specs that a device generates fast.
func benchCreateKey(b *testing.B, m *opened) {
	for _, row := range m.info.Specs {
		o, ok := optionsOf(row.Spec)
		if !ok || row.Slow || row.Spec.Algorithm.ModulusBits() > 2048 {
			continue
		}
		b.Run(m.name("alg="+string(row.Spec.Algorithm)+"_"+string(row.Spec.Usage)), func(b *testing.B) {
			v := newVault(b, m)
			o.Driver = v.device
			serial(b, func() error { _, err := v.CreateKey(b.Context(), o); return err }, func() error {
				if v.made == nil {
					return nil
				}
				return v.made.destroyAll()
			})
		})
	}
}

// benchImportKeyMaterial measures the import of symmetric material that its owner wrapped by
// RSA-OAEP. The request for the wrapping key is not in the figures.
func benchImportKeyMaterial(b *testing.B, m *opened) {
	row, ok := m.info.Find(driver.KeySpec{Algorithm: driver.HMACSHA256, Usage: driver.Derive})
	if !ok || !row.Import {
		return
	}
	b.Run(m.name(), func(b *testing.B) {
		v := newVault(b, m)
		o := vault.KeyOptions{Spec: vault.HMAC256, Origin: vault.OriginExternal, Driver: v.device}
		var next vault.ImportMaterial
		var key string
		prepare := func() error {
			key = must(v.CreateKey(b.Context(), o)).ID
			p, err := v.ParametersForImport(b.Context(), key, vault.ImportRequest{Algorithm: vault.WrapRSAESOAEPSHA256, Path: vault.PathHost})
			if err != nil {
				return err
			}
			public := must(p.PublicKey.Parse()).(*rsa.PublicKey)
			material := make([]byte, p.MaterialSize)
			rand.Read(material)
			next = vault.ImportMaterial{Token: p.Token, EncryptedMaterial: must(rsa.EncryptOAEP(sha256.New(), rand.Reader, public, material, nil))}
			return nil
		}
		if err := prepare(); err != nil {
			b.Fatal(err)
		}
		serial(b, func() error { _, err := v.ImportKeyMaterial(b.Context(), key, next); return err }, prepare)
	})
}

// optionsOf returns the options for a CMK of a driver's spec. The vault has no CMK of usage
// Unwrap.
func optionsOf(spec driver.KeySpec) (vault.KeyOptions, bool) {
	specs := map[driver.KeyAlgorithm]vault.KeySpec{
		driver.HMACSHA256: vault.HMAC256, driver.HMACSHA224: vault.HMAC224, driver.HMACSHA384: vault.HMAC384, driver.HMACSHA512: vault.HMAC512,
		driver.HMACSM3: vault.HMACSM3, driver.SM2: vault.SM2, driver.Ed25519: vault.Ed25519,
		driver.RSA2048: vault.RSA2048, driver.RSA3072: vault.RSA3072, driver.RSA4096: vault.RSA4096,
		driver.ECP256: vault.ECCP256, driver.ECP384: vault.ECCP384, driver.ECP521: vault.ECCP521,
	}
	usages := map[driver.Usage]vault.KeyUsage{driver.Sign: vault.SignVerify, driver.Decrypt: vault.AsymmetricDecrypt, driver.Derive: ""}
	usage, known := usages[spec.Usage]
	return vault.KeyOptions{Spec: specs[spec.Algorithm], Usage: usage}, known && specs[spec.Algorithm] != ""
}
