package soft_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"strongroom.example/driver"
	"strongroom.example/driver/soft"
)

// BenchmarkOverBare compares each operation of the engine with the bare algorithm. It
// calls one and the other in turn, so that both run under the same load, and reports the
// ratio of the medians as x-bare.
func BenchmarkOverBare(b *testing.B) {
	for _, c := range bareSigners(b) {
		b.Run("Sign/"+string(c.alg), func(b *testing.B) { overBare(b, c.engine, c.bare) })
	}
	for _, c := range bareDecrypters(b) {
		b.Run("Decrypt/"+string(c.alg), func(b *testing.B) { overBare(b, c.engine, c.bare) })
	}
}

func overBare(b *testing.B, engine, bare func() error) {
	var through, direct []time.Duration
	for b.Loop() {
		through = append(through, took(b, engine))
		direct = append(direct, took(b, bare))
	}
	b.ReportMetric(float64(median(through))/float64(median(direct)), "x-bare")
	b.ReportMetric(float64(median(through)), "engine-ns")
	b.ReportMetric(float64(median(direct)), "bare-ns")
	b.ReportMetric(0, "ns/op")
}

func took(b *testing.B, act func() error) time.Duration {
	from := time.Now()
	if err := act(); err != nil {
		b.Fatal(err)
	}
	return time.Since(from)
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// A duel is one operation, through the engine and by the bare algorithm.
type duel[A any] struct {
	alg          A
	engine, bare func() error
}

func bareSigners(b *testing.B) []duel[driver.SignAlg] {
	var list []duel[driver.SignAlg]
	d := newDriver(b, soft.Config{})
	for _, c := range []struct {
		key  driver.KeyAlgorithm
		alg  driver.SignAlg
		opts crypto.SignerOpts
	}{
		{driver.ECP256, driver.ECDSASHA256, crypto.SHA256},
		{driver.Ed25519, driver.EdDSAEd25519, crypto.Hash(0)},
		{driver.RSA2048, driver.RSAPKCS1SHA256, crypto.SHA256},
		{driver.RSA2048, driver.RSAPSSSHA256, &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}},
		{driver.SM2, driver.SM2DSA, nil},
	} {
		opened, private := bothKeys(b, d, driver.KeySpec{Algorithm: c.key, Usage: driver.Sign})
		digest := make([]byte, 32)
		list = append(list, duel[driver.SignAlg]{c.alg,
			func() error { _, err := opened.(driver.Signer).Sign(context.Background(), c.alg, digest); return err },
			func() error { _, err := private.(crypto.Signer).Sign(rand.Reader, digest, c.opts); return err },
		})
	}
	return list
}

// bareDecrypters compares raw RSA with the standard library's OAEP, because the library
// does not offer raw RSA and OAEP costs little more than the primitive.
func bareDecrypters(b *testing.B) []duel[driver.EncryptAlg] {
	d := newDriver(b, soft.Config{})
	opened, private := bothKeys(b, d, driver.KeySpec{Algorithm: driver.RSA2048, Usage: driver.Decrypt})
	key := private.(*rsa.PrivateKey)
	oaep1, err1 := rsa.EncryptOAEP(sha1.New(), rand.Reader, &key.PublicKey, []byte("plaintext"), nil)
	oaep256, err2 := rsa.EncryptOAEP(sha256.New(), rand.Reader, &key.PublicKey, []byte("plaintext"), nil)
	openedSM2, privateSM2 := bothKeys(b, d, driver.KeySpec{Algorithm: driver.SM2, Usage: driver.Decrypt})
	keySM2 := privateSM2.(*sm2.PrivateKey)
	underSM2, err3 := sm2.EncryptASN1(rand.Reader, &keySM2.PublicKey, []byte("plaintext"))
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			b.Fatal(err)
		}
	}
	engine := func(k driver.Key, alg driver.EncryptAlg, ciphertext []byte) func() error {
		dst := make([]byte, 0, 512)
		return func() error {
			_, err := k.(driver.Decrypter).Decrypt(context.Background(), dst, alg, ciphertext)
			return err
		}
	}
	return []duel[driver.EncryptAlg]{
		{driver.RSAOAEPSHA1, engine(opened, driver.RSAOAEPSHA1, oaep1),
			func() error { _, err := rsa.DecryptOAEP(sha1.New(), nil, key, oaep1, nil); return err }},
		{driver.RSAOAEPSHA256, engine(opened, driver.RSAOAEPSHA256, oaep256),
			func() error { _, err := rsa.DecryptOAEP(sha256.New(), nil, key, oaep256, nil); return err }},
		{driver.RSARaw, engine(opened, driver.RSARaw, oaep256),
			func() error { _, err := rsa.DecryptOAEP(sha256.New(), nil, key, oaep256, nil); return err }},
		{driver.SM2ASN1, engine(openedSM2, driver.SM2ASN1, underSM2),
			func() error { _, err := keySM2.Decrypt(nil, underSM2, sm2.ASN1DecrypterOpts); return err }},
	}
}

// bothKeys generates a key, opens it in the engine, and exports its material.
func bothKeys(b *testing.B, d *soft.Driver, spec driver.KeySpec) (opened driver.Key, private any) {
	b.Helper()
	ctx, id := context.Background(), driver.MaterialID{1}
	created, err := d.GenerateKey(ctx, id, spec)
	if err != nil {
		b.Fatal(err)
	}
	if opened, err = d.OpenKey(ctx, id, spec, created.Blob); err != nil {
		b.Fatal(err)
	}
	der, err := d.ExportMaterial(ctx, soft.Material{ID: id, Spec: spec, Blob: created.Blob}, nil)
	if err != nil {
		b.Fatal(err)
	}
	parse := x509.ParsePKCS8PrivateKey
	if spec.Algorithm == driver.SM2 {
		parse = smx509.ParsePKCS8PrivateKey
	}
	if private, err = parse(der); err != nil {
		b.Fatal(err)
	}
	return opened, private
}
