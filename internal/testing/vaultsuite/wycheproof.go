package vaultsuite

import (
	"context"
	"crypto/fips140"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/heavy"
	"strongroom.example/internal/testing/vectors"
	"strongroom.example/vault"
)

// Wycheproof runs the vectors with CMKs whose material is imported into the default
// driver, on each path that it has, and compares the results of the vault's methods. rows
// has the number of rows of the table of package vectors that each path runs; nil if it is
// not known. Without STRONGROOM_WYCHEPROOF=all, a sample of the files is run.
//
// RSA_RAW is no algorithm of the vault. HMAC_SM3 is left out, because its vectors have keys
// of two lengths and a CMK takes one.
func Wycheproof(t *testing.T, h Harness, rows map[vault.ImportPath]int) {
	t.Helper()
	w := &wycheproof{subject: newSubject(t, h), t: t, homes: make(map[driver.Usage]*home), all: heavy.All(t, "STRONGROOM_WYCHEPROOF")}
	for _, w.path = range []vault.ImportPath{vault.PathHost, vault.PathDevice} {
		t.Run(string(w.path), func(t *testing.T) {
			want, known := rows[w.path]
			if !known {
				want = -1
			}
			vectors.Run(t, vectors.Subject{Info: w.table(), Files: want, LeaveOut: w.leaveOut, Import: w.bring})
		})
	}
}

// A wycheproof runs the vectors on one path.
type wycheproof struct {
	*subject
	t    *testing.T // the vaults are closed when t ends
	path vault.ImportPath
	all  bool
	// homes has a vault for each usage, because the vectors use one key for two usages, which
	// a vault refuses.
	homes map[driver.Usage]*home
}

// table returns the specs whose material the default driver takes on the path, with the
// algorithms of the vault.
func (w *wycheproof) table() (info driver.Info) {
	for _, r := range w.usable() {
		name, can, _ := w.place(w.shared, r)
		there := can.Import
		if w.path == vault.PathDevice {
			there = len(can.WrappedImport) > 0
		}
		if name != w.shared.driver() || !there || r.spec == vault.Symmetric || r.device.Algorithm == driver.HMACSM3 {
			continue
		}
		can.Decrypt = slices.DeleteFunc(slices.Clone(can.Decrypt), func(a driver.EncryptAlg) bool { return a == driver.RSARaw })
		info.Specs = append(info.Specs, can)
	}
	return info
}

// leaveOut reports whether a file is not run. Each key needs a wrapping key of its own,
// and those of RSA take long.
func (w *wycheproof) leaveOut(file string) bool {
	has := func(part string) bool { return strings.Contains(file, part) }
	switch {
	case w.path == vault.PathDevice && has("three_primes"):
		return true // SoftHSM takes such a key, and it computes right: see OddKeys
	case w.all:
		return false
	case builtIn(w.shared.cfg):
		return has("hmac_sha224") || has("hmac_sha512") || has("3072") || has("4096") || has("384r1") || has("521r1")
	case has("oaep_2048_sha256"), has("pkcs1_2048_sig_gen"), has("three_primes"):
		return false
	}
	return w.path == vault.PathDevice || !has("hmac_sha256")
}

// homeOf returns the vault for a usage.
func (w *wycheproof) homeOf(usage driver.Usage) *home {
	if w.homes[usage] == nil {
		w.homes[usage] = newHome(w.t, w.Harness, w.Config(w.t))
	}
	return w.homes[usage]
}

// bring imports a key into a new CMK. The error is Invalid if the import is refused.
func (w *wycheproof) bring(t *testing.T, spec driver.KeySpec, material []byte) (driver.Key, func(), error) {
	x := w.homeOf(spec.Usage)
	r := w.rows[slices.IndexFunc(w.rows, func(r row) bool { return r.device == spec && r.spec != vault.Symmetric })]
	options := x.options(r)
	options.Origin, options.Driver = vault.OriginExternal, x.driver()
	k := x.create(t, options)
	ask := vault.ImportRequest{Path: w.path, SingleUse: true}
	if spec.Usage == driver.Derive && w.path == vault.PathHost && !fips140.Enforced() {
		ask.WrappingKeySpec = vault.SM2 // is made at once
	}
	p, err := x.owner().ParametersForImport(t.Context(), k.ID, ask)
	if err != nil {
		return nil, nil, err
	}
	_, err = x.owner().ImportKeyMaterial(t.Context(), k.ID, vault.ImportMaterial{Token: p.Token, EncryptedMaterial: wrap(t, p, material)})
	switch {
	case errors.Is(err, vault.ErrImport):
		return nil, nil, &driver.Error{Op: "ImportKeyMaterial", Class: driver.Invalid, Err: err}
	case err != nil:
		return nil, nil, err
	}
	return vectorKey{x.owner(), k.ID}, func() {
		if x.device == nil {
			return // the material is a small record
		}
		if err := x.owner().DeleteImportedKeyMaterial(context.Background(), k.ID); err != nil {
			t.Errorf("DeleteImportedKeyMaterial: %v", err)
		}
	}, nil
}

// A vectorKey implements the key interfaces of package driver with a CMK.
type vectorKey struct {
	c   vault.Client
	key string
}

// Close does nothing, because the CMK remains in the vault.
func (vectorKey) Close() error { return nil }

// PRF calls GenerateMac.
func (k vectorKey) PRF(ctx context.Context, dst, input []byte) ([]byte, error) {
	mac, err := k.c.GenerateMac(ctx, k.key, input)
	return append(dst, mac...), err
}

// Sign signs a digest, and has the vault verify the signature.
func (k vectorKey) Sign(ctx context.Context, alg driver.SignAlg, input []byte) ([]byte, error) {
	n := slices.IndexFunc(signAlgs(), func(a signAlg) bool { return a.device == alg })
	o := vault.SignOptions{Algorithm: signAlgs()[n].alg, MessageType: vault.Digest}
	signature, err := k.c.Sign(ctx, k.key, input, o)
	if err != nil {
		return nil, err
	}
	if ok, err := k.c.Verify(ctx, k.key, input, signature, o); err != nil || !ok {
		return nil, errors.Join(errors.New("the signature is not accepted by Verify"), err)
	}
	return signature, nil
}

// Decrypt decrypts with the CMK. It returns Authentic for ErrCiphertext.
func (k vectorKey) Decrypt(ctx context.Context, dst []byte, alg driver.EncryptAlg, ciphertext []byte) ([]byte, error) {
	n := slices.IndexFunc(encryptAlgs(), func(a encryptAlg) bool { return a.device == alg })
	plaintext, err := k.c.AsymmetricDecrypt(ctx, k.key, ciphertext, encryptAlgs()[n].alg)
	if errors.Is(err, vault.ErrCiphertext) {
		return nil, &driver.Error{Op: "AsymmetricDecrypt", Class: driver.Authentic, Err: err}
	}
	return append(dst, plaintext...), err
}
