package tpm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"math/big"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/driver/tpm"
	"strongroom.example/internal/vectors"
)

// A vectorFile is one row of the table of what goes through the TPM by import: file,
// entry point, and how many of its cases reach that entry point. The others are of
// sizes, hashes or labels that the driver does not have. Of the ECDH files the private
// keys are taken, which are the odd ones of their curves: each signs.
type vectorFile struct {
	file  string
	entry func(*testing.T, *tpm.Driver, vectors.Group) int
	cases int
}

var vectorFiles = []vectorFile{
	{"hmac_sha256_test.json", vectorPRF, 81},
	{"rsa_oaep_2048_sha1_mgf1sha1_test.json", vectorOAEP, 29},
	{"rsa_oaep_2048_sha256_mgf1sha256_test.json", vectorOAEP, 29},
	{"rsa_oaep_misc_test.json", vectorOAEP, 6},
	{"rsa_three_primes_oaep_2048_sha1_mgf1sha1_test.json", vectorThreePrimes, 36},
	{"rsa_pkcs1_2048_test.json", vectorRaw, 67},
	{"rsa_pkcs1_2048_sig_gen_test.json", vectorSign, 27},
	{"ecdh_secp256r1_test.json", vectorECDSA(driver.ECP256, driver.ECDSASHA256), 34},
	{"ecdh_secp384r1_test.json", vectorECDSA(driver.ECP384, driver.ECDSASHA384), 23},
	{"ecdh_secp521r1_test.json", vectorECDSA(driver.ECP521, driver.ECDSASHA512), 37},
}

func TestWycheproof(t *testing.T) {
	d := openFresh(t)
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

func vectorPRF(t *testing.T, d *tpm.Driver, g vectors.Group) (n int) {
	for _, v := range g.Tests {
		if g.TagSize != 256 || len(v.Key) != 32 {
			continue
		}
		k := openAs[driver.PRF](t, d, importKey(t, d, hmacSpec, v.Key))
		out, err := k.PRF(context.Background(), nil, v.Msg)
		if err != nil || bytes.Equal(out, v.Tag) != (v.Result == "valid") {
			t.Errorf("case %d: %v", v.TcID, err)
		}
		k.Close()
		n++
	}
	return n
}

var (
	rsaSign    = driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Sign}
	rsaDecrypt = driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt}
)

// vectorOAEP runs the groups whose two hashes are equal and offered, without label.
func vectorOAEP(t *testing.T, d *tpm.Driver, g vectors.Group) (n int) {
	alg := map[string]driver.EncryptAlg{"SHA-1": driver.RSAOAEPSHA1, "SHA-256": driver.RSAOAEPSHA256}[g.Sha]
	if alg == "" || g.Sha != g.MgfSha || g.KeySize != 2048 {
		return 0
	}
	k := openAs[driver.Decrypter](t, d, importKey(t, d, rsaDecrypt, g.PrivateKeyPkcs8))
	for _, v := range g.Tests {
		if len(v.Label) > 0 {
			continue
		}
		out, err := k.Decrypt(context.Background(), nil, alg, v.Ct)
		checkDecrypted(t, v, out, err)
		n++
	}
	return n
}

// vectorThreePrimes must be refused at the door: the TPM keeps one prime of two.
func vectorThreePrimes(t *testing.T, d *tpm.Driver, g vectors.Group) int {
	_, err := d.ImportKey(context.Background(), driver.MaterialID{1}, rsaDecrypt, g.PrivateKeyPkcs8)
	if !errors.Is(err, driver.Invalid) {
		t.Errorf("a key of three primes: %v", err)
	}
	return len(g.Tests)
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

// vectorRaw unpads PKCS #1 v1.5 over RSA_RAW.
func vectorRaw(t *testing.T, d *tpm.Driver, g vectors.Group) int {
	k := openAs[driver.Decrypter](t, d, importKey(t, d, rsaDecrypt, g.PrivateKeyPkcs8))
	for _, v := range g.Tests {
		block, err := k.Decrypt(context.Background(), nil, driver.RSARaw, v.Ct)
		if err == nil {
			block, err = unpad(block)
		}
		checkDecrypted(t, v, block, err)
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

// vectorSign compares signatures; PKCS #1 v1.5 makes the same one each time. A key with
// the exponent 3 must be refused, and that is its case.
func vectorSign(t *testing.T, d *tpm.Driver, g vectors.Group) int {
	alg := map[string]driver.SignAlg{"SHA-256": driver.RSAPKCS1SHA256, "SHA-384": driver.RSAPKCS1SHA384, "SHA-512": driver.RSAPKCS1SHA512}[g.Sha]
	if alg == "" {
		return 0
	}
	if g.PrivateKey.PublicExponent == "03" {
		_, err := d.ImportKey(context.Background(), driver.MaterialID{1}, rsaSign, g.PrivateKeyPkcs8)
		if !errors.Is(err, driver.Invalid) {
			t.Errorf("exponent 3: %v", err)
		}
		return len(g.Tests)
	}
	k := openAs[driver.Signer](t, d, importKey(t, d, rsaSign, g.PrivateKeyPkcs8))
	for _, v := range g.Tests {
		signature, err := k.Sign(context.Background(), alg, digestOf(alg, v.Msg))
		if err != nil || !bytes.Equal(signature, v.Sig) {
			t.Errorf("case %d: %v", v.TcID, err)
		}
	}
	return len(g.Tests)
}

func digestOf(alg driver.SignAlg, msg []byte) []byte {
	h := map[int]crypto.Hash{32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[alg.DigestSize()].New()
	h.Write(msg)
	return h.Sum(nil)
}

// vectorECDSA signs with each different private key of a file.
func vectorECDSA(alg driver.KeyAlgorithm, sign driver.SignAlg) func(*testing.T, *tpm.Driver, vectors.Group) int {
	curve := map[driver.KeyAlgorithm]elliptic.Curve{driver.ECP256: elliptic.P256(), driver.ECP384: elliptic.P384(), driver.ECP521: elliptic.P521()}[alg]
	return func(t *testing.T, d *tpm.Driver, g vectors.Group) (n int) {
		seen := make(map[string]bool)
		for _, v := range g.Tests {
			if seen[string(v.Private)] {
				continue
			}
			seen[string(v.Private)] = true
			scalar := new(big.Int).SetBytes(v.Private).FillBytes(make([]byte, (curve.Params().BitSize+7)/8))
			key, err := ecdsa.ParseRawPrivateKey(curve, scalar)
			if err != nil {
				t.Fatalf("case %d: %v", v.TcID, err)
			}
			made := importKey(t, d, driver.KeySpec{Algorithm: alg, Usage: driver.Sign}, pkcs8(t, key))
			digest := digestOf(sign, v.Private)
			signature, err := openAs[driver.Signer](t, d, made).Sign(context.Background(), sign, digest)
			if err != nil || !key.PublicKey.Equal(parsePublic(t, made.PublicDER)) || !verifyECDSA(&key.PublicKey, digest, signature) {
				t.Errorf("case %d: %v", v.TcID, err)
			}
			n++
		}
		return n
	}
}
