package vectors

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"math/big"
	"slices"
	"testing"

	"strongroom.example/driver"
)

// A Subject is a driver, or a vault behind a driver's interfaces, into which keys can be
// imported.
type Subject struct {
	// Info lists the specs that Import supports, and their algorithms. Files for other
	// specs are not run.
	Info driver.Info
	// Import imports material and opens the key. done closes and destroys the key. The
	// error for a rejected key is Invalid or Authentic.
	Import func(t *testing.T, spec driver.KeySpec, material []byte) (key driver.Key, done func(), err error)
	// LeaveOut reports whether a file takes too long; the log names such files. If it is
	// nil, all files are run.
	LeaveOut func(file string) bool
	// Files is the number of rows of the table that are run, or -1 if it is not known.
	Files int
}

// Counts are the numbers of cases of one row by result.
type Counts struct {
	// Cases went through a key and had the result of the vector.
	Cases int
	// MustFail went through a key with another label or MGF1 hash than the vector, and
	// failed.
	MustFail int
	// Refused are the keys that Import rejected, each with all of its cases.
	Refused int
}

// A row is one file for keys of one spec, and one algorithm.
type row struct {
	file  string
	spec  driver.KeySpec
	sign  driver.SignAlg
	alg   driver.EncryptAlg
	entry func(*run, Group)
	want  Counts
}

// run is the execution of one row.
type run struct {
	*testing.T
	Subject
	row
	got  Counts
	seen map[string]bool
}

// Run runs every file for which the subject has a spec and an algorithm.
func Run(t *testing.T, s Subject) {
	t.Helper()
	files, total := 0, Counts{}
	for _, r := range rows() {
		info, ok := s.Info.Find(r.spec)
		if !ok || r.alg != "" && !slices.Contains(info.Decrypt, r.alg) || r.sign != "" && !slices.Contains(info.Sign, r.sign) {
			continue
		}
		if s.LeaveOut != nil && s.LeaveOut(r.file) {
			t.Logf("%s is left out", r.file)
			continue
		}
		files++
		t.Run(r.file+"/"+r.spec.String()+"/"+string(r.alg)+string(r.sign), func(t *testing.T) {
			x := &run{T: t, Subject: s, row: r, seen: make(map[string]bool)}
			for _, g := range Read(t, r.file) {
				x.entry(x, g)
			}
			t.Logf("%+v", x.got)
			if x.got != r.want {
				t.Errorf("ran %+v, want %+v", x.got, r.want)
			}
			total.Cases, total.MustFail, total.Refused = total.Cases+x.got.Cases, total.MustFail+x.got.MustFail, total.Refused+x.got.Refused
		})
	}
	if s.Files >= 0 && files != s.Files {
		t.Errorf("ran %d rows of the table, want %d", files, s.Files)
	}
	t.Logf("%d rows: %+v", files, total)
}

// rows returns the table. Verify has no rows, because it uses no driver.
func rows() []row {
	prf := func(alg driver.KeyAlgorithm) driver.KeySpec {
		return driver.KeySpec{Algorithm: alg, Usage: driver.Derive}
	}
	sign := func(alg driver.KeyAlgorithm) driver.KeySpec {
		return driver.KeySpec{Algorithm: alg, Usage: driver.Sign}
	}
	decrypt := func(alg driver.KeyAlgorithm) driver.KeySpec {
		return driver.KeySpec{Algorithm: alg, Usage: driver.Decrypt}
	}
	table := []row{
		{file: "hmac_sha256_test.json", spec: prf(driver.HMACSHA256), entry: (*run).prf, want: Counts{Cases: 81}},
		{file: "hmac_sha224_test.json", spec: prf(driver.HMACSHA224), entry: (*run).prf, want: Counts{Cases: 81}},
		{file: "hmac_sha384_test.json", spec: prf(driver.HMACSHA384), entry: (*run).prf, want: Counts{Cases: 81}},
		{file: "hmac_sha512_test.json", spec: prf(driver.HMACSHA512), entry: (*run).prf, want: Counts{Cases: 81}},
		{file: "hmac_sm3_test.json", spec: prf(driver.HMACSM3), entry: (*run).prf, want: Counts{Cases: 84}},
		{file: "rsa_three_primes_oaep_2048_sha1_mgf1sha1_test.json", spec: decrypt(driver.RSA2048), alg: driver.RSAOAEPSHA1, entry: (*run).refused, want: Counts{Refused: 1}},
		{file: "ecdh_secp256r1_test.json", spec: sign(driver.ECP256), sign: driver.ECDSASHA256, entry: (*run).ecdsa, want: Counts{Cases: 34}},
		{file: "ecdh_secp384r1_test.json", spec: sign(driver.ECP384), sign: driver.ECDSASHA384, entry: (*run).ecdsa, want: Counts{Cases: 23}},
		{file: "ecdh_secp521r1_test.json", spec: sign(driver.ECP521), sign: driver.ECDSASHA512, entry: (*run).ecdsa, want: Counts{Cases: 37}},
	}
	for _, f := range []struct {
		file string
		key  driver.KeyAlgorithm
		alg  driver.EncryptAlg
		want Counts
	}{
		{"rsa_oaep_2048_sha1_mgf1sha1_test.json", driver.RSA2048, driver.RSAOAEPSHA1, Counts{Cases: 29, MustFail: 7}},
		{"rsa_oaep_2048_sha256_mgf1sha256_test.json", driver.RSA2048, driver.RSAOAEPSHA256, Counts{Cases: 29, MustFail: 8}},
		{"rsa_oaep_2048_sha256_mgf1sha1_test.json", driver.RSA2048, driver.RSAOAEPSHA256, Counts{MustFail: 31}},
		{"rsa_oaep_3072_sha256_mgf1sha256_test.json", driver.RSA3072, driver.RSAOAEPSHA256, Counts{Cases: 29, MustFail: 8}},
		{"rsa_oaep_3072_sha256_mgf1sha1_test.json", driver.RSA3072, driver.RSAOAEPSHA256, Counts{MustFail: 32}},
		{"rsa_oaep_4096_sha256_mgf1sha256_test.json", driver.RSA4096, driver.RSAOAEPSHA256, Counts{Cases: 29, MustFail: 8}},
		{"rsa_oaep_4096_sha256_mgf1sha1_test.json", driver.RSA4096, driver.RSAOAEPSHA256, Counts{MustFail: 32}},
		{"rsa_oaep_misc_test.json", driver.RSA2048, driver.RSAOAEPSHA1, Counts{Cases: 3, MustFail: 12}},
		{"rsa_oaep_misc_test.json", driver.RSA2048, driver.RSAOAEPSHA256, Counts{Cases: 3, MustFail: 12}},
		{"rsa_oaep_misc_test.json", driver.RSA3072, driver.RSAOAEPSHA1, Counts{Cases: 3, MustFail: 12}},
		{"rsa_oaep_misc_test.json", driver.RSA3072, driver.RSAOAEPSHA256, Counts{Cases: 3, MustFail: 12}},
	} {
		table = append(table, row{file: f.file, spec: decrypt(f.key), alg: f.alg, entry: (*run).oaep, want: f.want})
	}
	for _, f := range []struct {
		file    string
		key     driver.KeyAlgorithm
		refused [3]int // by hash, for the signature files
	}{
		{"rsa_pkcs1_2048", driver.RSA2048, [3]int{2, 0, 1}},
		{"rsa_pkcs1_3072", driver.RSA3072, [3]int{1, 0, 1}},
		{"rsa_pkcs1_4096", driver.RSA4096, [3]int{}},
	} {
		table = append(table, row{file: f.file + "_test.json", spec: decrypt(f.key), alg: driver.RSARaw, entry: (*run).raw, want: Counts{Cases: 67}})
		for i, alg := range []driver.SignAlg{driver.RSAPKCS1SHA256, driver.RSAPKCS1SHA384, driver.RSAPKCS1SHA512} {
			table = append(table, row{file: f.file + "_sig_gen_test.json", spec: sign(f.key), sign: alg, entry: (*run).sign, want: Counts{Cases: 8, Refused: f.refused[i]}})
		}
	}
	return table
}

// key imports a key that must be accepted.
func (x *run) key(material []byte) (driver.Key, func()) {
	x.Helper()
	key, done, err := x.Import(x.T, x.spec, material)
	if err != nil {
		x.Fatalf("importing %v: %v", x.spec, err)
	}
	return key, done
}

// refused imports a key that must be rejected.
func (x *run) refused(g Group) {
	_, done, err := x.Import(x.T, x.spec, g.PrivateKeyPkcs8)
	if err == nil {
		done()
		x.Errorf("importing %v accepted a key that package pkcs8 rejects", x.spec)
		return
	}
	if !errors.Is(err, driver.Invalid) && !errors.Is(err, driver.Authentic) {
		x.Errorf("importing %v: %v, want Invalid or Authentic", x.spec, err)
	}
	x.got.Refused++
}

// prf runs the vectors with full tags and with keys that can be imported.
func (x *run) prf(g Group) {
	for _, v := range g.Tests {
		if g.TagSize != 8*x.spec.Algorithm.MACSize() || !x.spec.Algorithm.FitsMaterial(len(v.Key)) {
			continue
		}
		key, done := x.key(v.Key)
		out, err := key.(driver.PRF).PRF(x.Context(), nil, v.Msg)
		if err != nil || bytes.Equal(out, v.Tag) != (v.Result == "valid") {
			x.Errorf("case %d (%s): PRF: %v", v.TcID, v.Result, err)
		}
		done()
		x.got.Cases++
	}
}

// decrypted checks a result, and counts it.
func (x *run) decrypted(v Case, out []byte, err error) {
	x.Helper()
	switch {
	case v.Result == "invalid" && !errors.Is(err, driver.Authentic):
		x.Errorf("case %d: %v, want Authentic", v.TcID, err)
	case v.Result != "invalid" && (err != nil || !bytes.Equal(out, v.Msg)):
		x.Errorf("case %d: %v, want the plaintext", v.TcID, err)
	}
	x.got.Cases++
}

// oaep runs the groups of the row's hash. Package driver has no labels and no other hash
// for MGF1, so that a ciphertext with either must fail.
func (x *run) oaep(g Group) {
	hash := map[driver.EncryptAlg]string{driver.RSAOAEPSHA1: "SHA-1", driver.RSAOAEPSHA256: "SHA-256"}[x.alg]
	if g.Sha != hash || g.KeySize != x.spec.Algorithm.ModulusBits() {
		return
	}
	key, done := x.key(g.PrivateKeyPkcs8)
	defer done()
	for _, v := range g.Tests {
		out, err := key.(driver.Decrypter).Decrypt(x.Context(), nil, x.alg, v.Ct)
		if len(v.Label) == 0 && g.MgfSha == g.Sha {
			x.decrypted(v, out, err)
			continue
		}
		if !errors.Is(err, driver.Authentic) || len(out) != 0 {
			x.Errorf("case %d, label %x, MGF1 with %s: %v, want Authentic", v.TcID, v.Label, g.MgfSha, err)
		}
		x.got.MustFail++
	}
}

// raw unpads PKCS #1 v1.5 over RSA_RAW.
func (x *run) raw(g Group) {
	key, done := x.key(g.PrivateKeyPkcs8)
	defer done()
	for _, v := range g.Tests {
		block, err := key.(driver.Decrypter).Decrypt(x.Context(), nil, driver.RSARaw, v.Ct)
		var out []byte
		if err == nil {
			out, err = unpad(block)
		}
		x.decrypted(v, out, err)
	}
}

func unpad(block []byte) ([]byte, error) {
	end := bytes.IndexByte(block[2:], 0)
	if block[0] != 0 || block[1] != 2 || end < 8 {
		return nil, driver.Authentic
	}
	return block[2+end+1:], nil
}

// sign compares signatures, which are deterministic with PKCS #1 v1.5. A key with the
// exponent 3 must be rejected.
func (x *run) sign(g Group) {
	if g.Sha != map[int]string{32: "SHA-256", 48: "SHA-384", 64: "SHA-512"}[x.row.sign.DigestSize()] {
		return
	}
	if g.PrivateKey.PublicExponent == "03" {
		x.refused(g)
		return
	}
	key, done := x.key(g.PrivateKeyPkcs8)
	defer done()
	for _, v := range g.Tests {
		sig, err := key.(driver.Signer).Sign(x.Context(), x.row.sign, digest(x.row.sign, v.Msg))
		if err != nil || !bytes.Equal(sig, v.Sig) {
			x.Errorf("case %d: Sign: %v, want the vector's signature", v.TcID, err)
		}
		x.got.Cases++
	}
}

func digest(alg driver.SignAlg, msg []byte) []byte {
	h := alg.Hash().New()
	h.Write(msg)
	return h.Sum(nil)
}

// ecdsa signs once with each private key of an ECDH file, and verifies by the standard
// library, because Wycheproof has no private keys for ECDSA.
func (x *run) ecdsa(g Group) {
	curve := x.spec.Algorithm.Curve()
	for _, v := range g.Tests {
		number := new(big.Int).SetBytes(v.Private)
		if x.seen[number.String()] {
			continue
		}
		x.seen[number.String()] = true
		private, err := ecdsa.ParseRawPrivateKey(curve, number.FillBytes(make([]byte, (curve.Params().BitSize+7)/8)))
		if err != nil {
			x.Fatalf("case %d: %v", v.TcID, err)
		}
		der, err := x509.MarshalPKCS8PrivateKey(private)
		if err != nil {
			x.Fatal(err)
		}
		key, done := x.key(der)
		input := digest(x.row.sign, v.Private)
		sig, err := key.(driver.Signer).Sign(x.Context(), x.row.sign, input)
		if err != nil || !ecdsa.VerifyASN1(&private.PublicKey, input, sig) {
			x.Errorf("case %d: Sign: %v, want a signature that verifies", v.TcID, err)
		}
		done()
		x.got.Cases++
	}
}
