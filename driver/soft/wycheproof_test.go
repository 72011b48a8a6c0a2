package soft_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
	"strongroom.example/internal/vectors"
)

// A vectorFile is one row of the table of what is run: file, entry point, and how
// many of its cases reach that entry point. The other cases are of algorithms, key
// sizes or labels that the seam does not have.
type vectorFile struct {
	file  string
	entry func(*testing.T, *soft.Driver, vectors.Group) int
	cases int
}

var vectorFiles = []vectorFile{
	{"hmac_sha256_test.json", runPRF(driver.HMACSHA256, 32), 81},
	{"hmac_sm3_test.json", runPRF(driver.HMACSM3, 16, 32), 84},
	{"rsa_oaep_2048_sha1_mgf1sha1_test.json", runOAEP, 29},
	{"rsa_oaep_2048_sha256_mgf1sha256_test.json", runOAEP, 29},
	{"rsa_oaep_3072_sha256_mgf1sha256_test.json", runOAEP, 29},
	{"rsa_oaep_4096_sha256_mgf1sha256_test.json", runOAEP, 29},
	{"rsa_oaep_misc_test.json", runOAEP, 18},
	{"rsa_pkcs1_2048_test.json", runRaw, 67},
	{"rsa_pkcs1_3072_test.json", runRaw, 67},
	{"rsa_pkcs1_4096_test.json", runRaw, 67},
	{"rsa_pkcs1_2048_sig_gen_test.json", runSign, 27},
	{"rsa_pkcs1_3072_sig_gen_test.json", runSign, 26},
	{"rsa_pkcs1_4096_sig_gen_test.json", runSign, 24},
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

func TestWycheproof(t *testing.T) {
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

// runPRF runs the full tags of keys that can be imported.
func runPRF(alg driver.KeyAlgorithm, sizes ...int) func(*testing.T, *soft.Driver, vectors.Group) int {
	return func(t *testing.T, d *soft.Driver, g vectors.Group) int {
		n := 0
		for _, v := range g.Tests {
			fits := g.TagSize == 256 && bytes.IndexByte(bytesOf(sizes), byte(len(v.Key))) >= 0
			if !fits {
				continue
			}
			key := importKey(t, d, driver.KeySpec{Algorithm: alg, Usage: driver.Derive}, v.Key).(driver.PRF)
			out, err := key.PRF(context.Background(), nil, v.Msg)
			if err != nil || bytes.Equal(out, v.Tag) != (v.Result == "valid") {
				t.Errorf("case %d: %v", v.TcID, err)
			}
			key.Close()
			n++
		}
		return n
	}
}

func bytesOf(sizes []int) []byte {
	var b []byte
	for _, s := range sizes {
		b = append(b, byte(s))
	}
	return b
}

func rsaSpec(bits int, usage driver.Usage) driver.KeySpec {
	algs := map[int]driver.KeyAlgorithm{2048: driver.RSA2048, 3072: driver.RSA3072, 4096: driver.RSA4096}
	return driver.KeySpec{Algorithm: algs[bits], Usage: usage}
}

// runOAEP runs the groups whose two hashes are equal and offered, without label.
func runOAEP(t *testing.T, d *soft.Driver, g vectors.Group) int {
	algs := map[string]driver.EncryptAlg{"SHA-1": driver.RSAOAEPSHA1, "SHA-256": driver.RSAOAEPSHA256}
	alg, spec := algs[g.Sha], rsaSpec(g.KeySize, driver.Decrypt)
	if alg == "" || g.Sha != g.MgfSha || spec.Algorithm == "" {
		return 0
	}
	key := importKey(t, d, spec, g.PrivateKeyPkcs8).(driver.Decrypter)
	defer key.Close()
	n := 0
	for _, v := range g.Tests {
		if len(v.Label) > 0 {
			continue
		}
		out, err := key.Decrypt(context.Background(), nil, alg, v.Ct)
		checkDecrypted(t, v, out, err)
		n++
	}
	return n
}

func checkDecrypted(t *testing.T, v vectors.Case, out []byte, err error) {
	t.Helper()
	switch {
	case v.Result == "invalid" && !errors.Is(err, driver.Authentic):
		t.Errorf("case %d: decrypted or wrong class: %v", v.TcID, err)
	case v.Result != "invalid" && (err != nil || !bytes.Equal(out, v.Msg)):
		t.Errorf("case %d: %v", v.TcID, err)
	}
}

// runRaw unpads PKCS #1 v1.5 over RSA_RAW.
func runRaw(t *testing.T, d *soft.Driver, g vectors.Group) int {
	key := importKey(t, d, rsaSpec(g.KeySize, driver.Decrypt), g.PrivateKeyPkcs8).(driver.Decrypter)
	defer key.Close()
	for _, v := range g.Tests {
		block, err := key.Decrypt(context.Background(), nil, driver.RSARaw, v.Ct)
		var out []byte
		if err == nil {
			out, err = unpad(block)
		}
		checkDecrypted(t, v, out, err)
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

// runSign compares signatures; PKCS #1 v1.5 makes the same one each time. A key
// with the exponent 3 must be refused, and that is its case.
func runSign(t *testing.T, d *soft.Driver, g vectors.Group) int {
	algs := map[string]driver.SignAlg{"SHA-256": driver.RSAPKCS1SHA256, "SHA-384": driver.RSAPKCS1SHA384, "SHA-512": driver.RSAPKCS1SHA512}
	alg, spec := algs[g.Sha], rsaSpec(g.KeySize, driver.Sign)
	if alg == "" {
		return 0
	}
	if g.PrivateKey.PublicExponent == "03" {
		_, err := d.ImportKey(context.Background(), driver.MaterialID{1}, spec, g.PrivateKeyPkcs8)
		if !errors.Is(err, driver.Invalid) {
			t.Errorf("exponent 3: %v", err)
		}
		return len(g.Tests)
	}
	key := importKey(t, d, spec, g.PrivateKeyPkcs8).(driver.Signer)
	defer key.Close()
	for _, v := range g.Tests {
		sig, err := key.Sign(context.Background(), alg, digest(alg, v.Msg))
		if err != nil || !bytes.Equal(sig, v.Sig) {
			t.Errorf("case %d: %v", v.TcID, err)
		}
	}
	return len(g.Tests)
}

// runVerify runs soft.Verify. What the vectors call acceptable is old encoding, and
// is refused.
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

// digest is the input that alg takes for a message.
func digest(alg driver.SignAlg, msg []byte) []byte {
	if alg.TakesMessage() {
		return msg
	}
	h := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[alg.DigestSize()].New()
	h.Write(msg)
	return h.Sum(nil)
}
