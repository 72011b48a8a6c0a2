//go:build cgo && unix

package pkcs11_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testtoken"
	"strongroom.example/internal/vectors"
)

// A vectorFile is one row of the table of what is run through the token: file, entry
// point, and how many cases reach it. The others are of algorithms, sizes or labels
// that the seam does not have. Wycheproof has no private keys for ECDSA: those of
// ECDH stand in, and Go verifies what they sign.
type vectorFile struct {
	file  string
	entry func(*wycheproofRun, vectors.Group) int
	cases int
}

var vectorFiles = []vectorFile{
	{"hmac_sha256_test.json", (*wycheproofRun).prf, 81},
	{"aes_gcm_test.json", (*wycheproofRun).gcm, 66},
	{"rsa_oaep_2048_sha1_mgf1sha1_test.json", (*wycheproofRun).oaep, 29},
	{"rsa_oaep_2048_sha256_mgf1sha256_test.json", (*wycheproofRun).oaep, 29},
	{"rsa_oaep_3072_sha256_mgf1sha256_test.json", (*wycheproofRun).oaep, 29},
	{"rsa_oaep_4096_sha256_mgf1sha256_test.json", (*wycheproofRun).oaep, 29},
	{"rsa_pkcs1_2048_test.json", (*wycheproofRun).raw, 67},
	{"rsa_pkcs1_3072_test.json", (*wycheproofRun).raw, 67},
	{"rsa_pkcs1_4096_test.json", (*wycheproofRun).raw, 67},
	{"rsa_pkcs1_2048_sig_gen_test.json", (*wycheproofRun).sign, 27},
	{"rsa_pkcs1_3072_sig_gen_test.json", (*wycheproofRun).sign, 26},
	{"rsa_pkcs1_4096_sig_gen_test.json", (*wycheproofRun).sign, 24},
	{"ecdh_secp256r1_test.json", ecdsaWith(driver.ECP256, driver.ECDSASHA256), 34},
	{"ecdh_secp384r1_test.json", ecdsaWith(driver.ECP384, driver.ECDSASHA384), 23},
	{"ecdh_secp521r1_test.json", ecdsaWith(driver.ECP521, driver.ECDSASHA512), 37},
}

// A wycheproofRun runs one file on one token.
type wycheproofRun struct {
	*testing.T
	d    driver.Driver
	seen map[string]bool
}

func TestWycheproof(t *testing.T) {
	tokens(t, func(t *testing.T, token testtoken.PKCS11) {
		d := opened(t, token)
		total, files := 0, 0
		for _, f := range vectorFiles {
			if leftOut(t, token, f) {
				continue
			}
			t.Run(f.file, func(t *testing.T) { total += f.run(t, d) })
			files++
		}
		t.Logf("%d cases in %d files", total, files)
	})
}

// leftOut says that a file takes too long on NSS, which reads its database for each
// use of a key. STRONGROOM_WYCHEPROOF=all runs it there too.
func leftOut(t *testing.T, token testtoken.PKCS11, f vectorFile) bool {
	long := strings.Contains(f.file, "4096") || strings.Contains(f.file, "3072")
	if !long || token.Label != "NSS Certificate DB" || os.Getenv("STRONGROOM_WYCHEPROOF") == "all" {
		return false
	}
	t.Logf("%s is left out", f.file)
	return true
}

func (f vectorFile) run(t *testing.T, d driver.Driver) (n int) {
	r := &wycheproofRun{t, d, make(map[string]bool)}
	for _, g := range vectors.Read(t, f.file) {
		n += f.entry(r, g)
	}
	if n != f.cases {
		t.Errorf("ran %d cases, want %d", n, f.cases)
	}
	return n
}

// key imports material, opens it and destroys it with done.
func (r *wycheproofRun) key(spec driver.KeySpec, material []byte) (opened driver.Key, done func()) {
	r.Helper()
	needs(r.T, r.d, spec)
	id := freshID()
	if _, err := r.d.(driver.Importer).ImportKey(r.Context(), id, spec, material); err != nil {
		r.Fatalf("%v: ImportKey: %v", spec, err)
	}
	opened, err := r.d.OpenKey(r.Context(), id, spec, nil)
	if err != nil {
		r.Fatal(err)
	}
	return opened, func() {
		opened.Close()
		if err := r.d.DestroyKey(r.Context(), id, nil); err != nil {
			r.Error(err)
		}
	}
}

// prf runs the full tags of keys of 32 bytes.
func (r *wycheproofRun) prf(g vectors.Group) (n int) {
	for _, v := range g.Tests {
		if g.TagSize != 256 || len(v.Key) != 32 {
			continue
		}
		key, done := r.key(derive, v.Key)
		out, err := key.(driver.PRF).PRF(r.Context(), nil, v.Msg)
		if err != nil || bytes.Equal(out, v.Tag) != (v.Result == "valid") {
			r.Errorf("case %d: %v", v.TcID, err)
		}
		done()
		n++
	}
	return n
}

// gcm opens texts under keys of 256 bits, with the sizes of iv and tag that the seam
// has.
func (r *wycheproofRun) gcm(g vectors.Group) (n int) {
	if g.KeySize != 256 || g.IVSize != 96 || g.TagSize != 128 {
		return 0
	}
	for _, v := range g.Tests {
		key, done := r.key(driver.KeySpec{Algorithm: driver.AES256GCM, Usage: driver.Seal}, v.Key)
		out, err := key.(driver.AEAD).Open(r.Context(), nil, slices.Concat(v.IV, v.Ct, v.Tag), v.AAD)
		r.decrypted(v, out, err)
		done()
	}
	return len(g.Tests)
}

func (r *wycheproofRun) decrypted(v vectors.Case, out []byte, err error) {
	r.Helper()
	switch {
	case v.Result == "invalid" && !is(err, driver.Authentic):
		r.Errorf("case %d: decrypted, or of a wrong class: %v", v.TcID, err)
	case v.Result != "invalid" && (err != nil || !bytes.Equal(out, v.Msg)):
		r.Errorf("case %d: %v", v.TcID, err)
	}
}

func rsaSpec(bits int, usage driver.Usage) driver.KeySpec {
	algs := map[int]driver.KeyAlgorithm{2048: driver.RSA2048, 3072: driver.RSA3072, 4096: driver.RSA4096}
	return driver.KeySpec{Algorithm: algs[bits], Usage: usage}
}

// oaep runs the cases without a label.
func (r *wycheproofRun) oaep(g vectors.Group) (n int) {
	alg := map[string]driver.EncryptAlg{"SHA-1": driver.RSAOAEPSHA1, "SHA-256": driver.RSAOAEPSHA256}[g.Sha]
	key, done := r.key(rsaSpec(g.KeySize, driver.Decrypt), g.PrivateKeyPkcs8)
	defer done()
	for _, v := range g.Tests {
		if len(v.Label) > 0 {
			continue
		}
		out, err := key.(driver.Decrypter).Decrypt(r.Context(), nil, alg, v.Ct)
		r.decrypted(v, out, err)
		n++
	}
	return n
}

// raw unpads PKCS #1 v1.5 over RSA_RAW.
func (r *wycheproofRun) raw(g vectors.Group) int {
	key, done := r.key(rsaSpec(g.KeySize, driver.Decrypt), g.PrivateKeyPkcs8)
	defer done()
	for _, v := range g.Tests {
		block, err := key.(driver.Decrypter).Decrypt(r.Context(), nil, driver.RSARaw, v.Ct)
		var out []byte
		if err == nil {
			out, err = unpad(block)
		}
		r.decrypted(v, out, err)
	}
	return len(g.Tests)
}

func unpad(block []byte) ([]byte, error) {
	end := bytes.IndexByte(block[2:], 0)
	if block[0] != 0 || block[1] != 2 || end < 8 {
		return nil, driver.Authentic
	}
	return block[2+end+1:], nil
}

// sign compares signatures, which PKCS #1 v1.5 makes the same each time. A key with
// the exponent 3 must be refused, and that is its case.
func (r *wycheproofRun) sign(g vectors.Group) int {
	alg := map[string]driver.SignAlg{"SHA-256": driver.RSAPKCS1SHA256, "SHA-384": driver.RSAPKCS1SHA384, "SHA-512": driver.RSAPKCS1SHA512}[g.Sha]
	spec := rsaSpec(g.KeySize, driver.Sign)
	switch {
	case alg == "":
		return 0
	case g.PrivateKey.PublicExponent == "03":
		if _, err := r.d.(driver.Importer).ImportKey(r.Context(), freshID(), spec, g.PrivateKeyPkcs8); !is(err, driver.Invalid) {
			r.Errorf("exponent 3: %v", err)
		}
		return len(g.Tests)
	}
	key, done := r.key(spec, g.PrivateKeyPkcs8)
	defer done()
	for _, v := range g.Tests {
		sig, err := key.(driver.Signer).Sign(r.Context(), alg, digest(alg, v.Msg))
		if err != nil || !bytes.Equal(sig, v.Sig) {
			r.Errorf("case %d: %v", v.TcID, err)
		}
	}
	return len(g.Tests)
}

// digest is the input that alg takes for a message.
func digest(alg driver.SignAlg, msg []byte) []byte {
	h := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[alg.DigestSize()].New()
	h.Write(msg)
	return h.Sum(nil)
}

// ecdsaWith signs with each private key that a file has, once.
func ecdsaWith(key driver.KeyAlgorithm, alg driver.SignAlg) func(*wycheproofRun, vectors.Group) int {
	curve := map[driver.KeyAlgorithm]elliptic.Curve{driver.ECP256: elliptic.P256(), driver.ECP384: elliptic.P384(), driver.ECP521: elliptic.P521()}[key]
	return func(r *wycheproofRun, g vectors.Group) (n int) {
		for _, v := range g.Tests {
			scalar := new(big.Int).SetBytes(v.Private)
			if r.seen[scalar.String()] || scalar.Sign() == 0 || scalar.Cmp(curve.Params().N) >= 0 {
				continue
			}
			r.seen[scalar.String()] = true
			r.ecdsa(v, curve, driver.KeySpec{Algorithm: key, Usage: driver.Sign}, alg)
			n++
		}
		return n
	}
}

func (r *wycheproofRun) ecdsa(v vectors.Case, curve elliptic.Curve, spec driver.KeySpec, alg driver.SignAlg) {
	r.Helper()
	scalar := new(big.Int).SetBytes(v.Private).FillBytes(make([]byte, (curve.Params().BitSize+7)/8))
	private, err := ecdsa.ParseRawPrivateKey(curve, scalar)
	if err != nil {
		r.Fatalf("case %d: %v", v.TcID, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		r.Fatal(err)
	}
	opened, done := r.key(spec, der)
	defer done()
	input := digest(alg, v.Private)
	sig, err := opened.(driver.Signer).Sign(r.Context(), alg, input)
	if err != nil || !ecdsa.VerifyASN1(&private.PublicKey, input, sig) {
		r.Errorf("case %d: %v", v.TcID, err)
	}
}
