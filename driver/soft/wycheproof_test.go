package soft_test

import (
	"crypto"
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/testing/vectors"
)

// A vectorFile is one row of the table for Verify: file, entry point, and how many of its
// cases reach that entry point.
type vectorFile struct {
	file  string
	entry func(*testing.T, *soft.Driver, vectors.Group) int
	cases int
}

var vectorFiles = []vectorFile{
	{"ecdsa_secp256r1_sha256_test.json", runVerify(driver.ECDSASHA256), 484},
	{"ecdsa_secp384r1_sha384_test.json", runVerify(driver.ECDSASHA384), 504},
	{"ecdsa_secp521r1_sha512_test.json", runVerify(driver.ECDSASHA512), 542},
	{"ed25519_test.json", runVerify(driver.EdDSAEd25519), 151},
	{"rsa_signature_2048_sha256_test.json", runVerify(driver.RSAPKCS1SHA256), 259},
	{"rsa_signature_2048_sha384_test.json", runVerify(driver.RSAPKCS1SHA384), 258},
	{"rsa_signature_2048_sha512_test.json", runVerify(driver.RSAPKCS1SHA512), 259},
	{"rsa_signature_3072_sha256_test.json", runVerify(driver.RSAPKCS1SHA256), 259},
	{"rsa_signature_3072_sha384_test.json", runVerify(driver.RSAPKCS1SHA384), 259},
	{"rsa_signature_3072_sha512_test.json", runVerify(driver.RSAPKCS1SHA512), 260},
	{"rsa_signature_4096_sha256_test.json", runVerify(driver.RSAPKCS1SHA256), 258},
	{"rsa_signature_4096_sha384_test.json", runVerify(driver.RSAPKCS1SHA384), 259},
	{"rsa_signature_4096_sha512_test.json", runVerify(driver.RSAPKCS1SHA512), 259},
	{"rsa_pss_2048_sha256_mgf1_32_test.json", runVerify(driver.RSAPSSSHA256), 108},
	{"rsa_pss_3072_sha256_mgf1_32_test.json", runVerify(driver.RSAPSSSHA256), 108},
	{"rsa_pss_4096_sha256_mgf1_32_test.json", runVerify(driver.RSAPSSSHA256), 108},
}

// TestWycheproof runs the vectors for private keys through the driver.
func TestWycheproof(t *testing.T) {
	d := newDriver(t, soft.Config{})
	vectors.Run(t, vectors.Subject{Info: d.Info(), Files: 32, Import: func(t *testing.T, spec driver.KeySpec, material []byte) (driver.Key, func(), error) {
		id := driver.MaterialID{1}
		made, err := d.ImportKey(t.Context(), id, spec, material)
		if err != nil {
			return nil, nil, err
		}
		key, err := d.OpenKey(t.Context(), id, spec, made.Blob)
		return key, func() { key.Close() }, err
	}})
}

// TestWycheproofVerify runs the vectors for signatures.
func TestWycheproofVerify(t *testing.T) {
	d := newDriver(t, soft.Config{})
	total := 0
	for _, f := range vectorFiles {
		t.Run(f.file, func(t *testing.T) {
			n := 0
			for _, g := range vectors.Read(t, f.file) {
				n += f.entry(t, d, g)
			}
			if n != f.cases {
				t.Errorf("ran %d cases, want %d", n, f.cases)
			}
			total += n
		})
	}
	t.Logf("%d cases in %d files", total, len(vectorFiles))
}

// runVerify runs soft.Verify. The vectors call some outdated encodings acceptable;
// soft.Verify rejects them.
func runVerify(alg driver.SignAlg) func(*testing.T, *soft.Driver, vectors.Group) int {
	return func(t *testing.T, _ *soft.Driver, g vectors.Group) int {
		for _, v := range g.Tests {
			err := soft.Verify(g.PublicKeyDer, alg, digest(alg, v.Msg), v.Sig)
			if (err == nil) != (v.Result == "valid") || err != nil && !errors.Is(err, driver.Authentic) {
				t.Errorf("case %d (%s): %v", v.TcID, v.Result, err)
			}
		}
		return len(g.Tests)
	}
}

// digest returns the input of alg for a message.
func digest(alg driver.SignAlg, msg []byte) []byte {
	if alg.TakesMessage() {
		return msg
	}
	h := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[alg.DigestSize()].New()
	h.Write(msg)
	return h.Sum(nil)
}
