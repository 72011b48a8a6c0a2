package vault

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/vectors"
)

// TestWycheproof runs the vectors with CMKs whose material was imported, and compares the
// results of the vault's methods.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	needs(t, WrapSM2)
	// The vectors use one key for two usages, which a vault rejects.
	vaults := make(map[driver.Usage]Client)
	for _, usage := range []driver.Usage{driver.Derive, driver.Sign, driver.Decrypt} {
		v, _ := newTestVault(t, Config{})
		vaults[usage] = v.As(DefaultOwner)
	}
	vectors.Run(t, vectors.Subject{
		Info:  vaultTable(t),
		Files: 13,
		// Each key needs a wrapping key of its own, and those of RSA take long.
		LeaveOut: func(file string) bool {
			return strings.Contains(file, "3072") || strings.Contains(file, "4096") || strings.Contains(file, "384r1") || strings.Contains(file, "521r1")
		},
		Import: func(t *testing.T, spec driver.KeySpec, material []byte) (driver.Key, func(), error) {
			return importVector(t, vaults[spec.Usage], spec, material)
		},
	})
}

// vaultTable returns the software engine's table without the entries that the vault's API
// does not offer.
func vaultTable(t *testing.T) driver.Info {
	t.Helper()
	d, err := soft.New(soft.Config{})
	if err != nil {
		t.Fatal(err)
	}
	info := d.Info()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	info.Specs = slices.DeleteFunc(slices.Clone(info.Specs), func(row driver.SpecInfo) bool { return row.Spec.Algorithm == driver.HMACSM3 })
	for i := range info.Specs {
		info.Specs[i].Decrypt = slices.DeleteFunc(slices.Clone(info.Specs[i].Decrypt), func(a driver.EncryptAlg) bool { return a == driver.RSARaw })
	}
	return info
}

// importVector makes a CMK of a vector's key. It returns Invalid if the import is rejected.
func importVector(t *testing.T, c Client, spec driver.KeySpec, material []byte) (driver.Key, func(), error) {
	t.Helper()
	n := slices.IndexFunc(specTable, func(r specRow) bool { return r.alg != "" && r.device(c.vault.suite) == spec })
	k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: specTable[n].spec, Usage: specTable[n].usage})
	var r ImportRequest
	if symmetric(spec) {
		r.WrappingKeySpec = SM2
	}
	if _, err := c.ImportKeyMaterial(t.Context(), k.ID, askParcel(t, c, k.ID, material, r).material()); errors.Is(err, ErrImport) {
		return nil, nil, &driver.Error{Op: "ImportKeyMaterial", Class: driver.Invalid, Err: err}
	} else if err != nil {
		return nil, nil, err
	}
	return vectorKey{c, k.ID}, func() {}, nil
}

// A vectorKey implements the key interfaces of package driver with a CMK.
type vectorKey struct {
	c   Client
	key string
}

// Close does nothing, because the CMK remains in the vault.
func (vectorKey) Close() error { return nil }

// PRF calls GenerateMac.
func (k vectorKey) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	mac, err := k.c.GenerateMac(ctx, k.key, input)
	return append(dst, mac...), err
}

// Sign signs a digest.
func (k vectorKey) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	n := slices.IndexFunc(signTable, func(r signRow) bool { return r.device == alg })
	return k.c.Sign(ctx, k.key, input, SignOptions{Algorithm: signTable[n].alg, MessageType: Digest})
}

// Decrypt decrypts with the CMK. It returns Authentic for ErrCiphertext.
func (k vectorKey) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	plaintext, err := k.c.AsymmetricDecrypt(ctx, k.key, ciphertext, EncryptionAlgorithm(alg))
	if errors.Is(err, ErrCiphertext) {
		return nil, &driver.Error{Op: "AsymmetricDecrypt", Class: driver.Authentic, Err: err}
	}
	return append(dst, plaintext...), err
}
