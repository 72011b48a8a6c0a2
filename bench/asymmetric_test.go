package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"github.com/emmansun/gmsm/sm2"

	"strongroom.example/vault"
)

// bare is one algorithm of a library, and the CMK that is compared with it.
type bare struct {
	name    string
	spec    vault.KeySpec
	sign    vault.SignAlgorithm
	decrypt vault.EncryptionAlgorithm
	run     func() error
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// signers returns the baselines of Sign. Each signs a digest or, for Ed25519, a message
// of the same length.
func signers() []bare {
	digest := sha256.Sum256([]byte("m"))
	by := func(key crypto.Signer, opts crypto.SignerOpts) func() error {
		return func() error { _, err := key.Sign(rand.Reader, digest[:], opts); return err }
	}
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	ed := ed25519.NewKeyFromSeed(seed)
	return []bare{
		{name: "RSA-2048-PSS", spec: vault.RSA2048, sign: vault.RSAPSSSHA256,
			run: by(must(rsa.GenerateKey(rand.Reader, 2048)), &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})},
		{name: "P-256", spec: vault.ECCP256, sign: vault.ECCP256R1, run: by(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), crypto.SHA256)},
		{name: "SM2", spec: vault.SM2, sign: vault.SM2DSA, run: by(must(sm2.GenerateKey(rand.Reader)), nil)},
		{name: "Ed25519", spec: vault.Ed25519, sign: vault.EdDSA, run: by(ed, crypto.Hash(0))},
	}
}

// BenchmarkSign measures Sign of a digest, including the durable audit record.
func BenchmarkSign(b *testing.B) {
	p, s := newBaseline(b), newSubject(b)
	digest := sha256.Sum256([]byte("m"))
	for _, a := range signers() {
		k := must(s.client.CreateKey(b.Context(), vault.KeyOptions{Spec: a.spec, Usage: vault.SignVerify}))
		o := vault.SignOptions{Algorithm: a.sign, MessageType: vault.Digest}
		if a.sign == vault.EdDSA {
			o.MessageType = vault.Raw
		}
		b.Run(a.name, func(b *testing.B) {
			atEach(b, Ratio{Durable: p.durably(a.run), Raw: a.run, Op: func() error {
				_, err := s.client.Sign(b.Context(), k.ID, digest[:], o)
				return err
			}})
		})
	}
}

// BenchmarkAsymmetricDecrypt measures AsymmetricDecrypt, including the durable audit
// record.
func BenchmarkAsymmetricDecrypt(b *testing.B) {
	p, s := newBaseline(b), newSubject(b)
	message := make([]byte, 32)
	rsaKey, sm2Key := must(rsa.GenerateKey(rand.Reader, 2048)), must(sm2.GenerateKey(rand.Reader))
	oaep := must(rsa.EncryptOAEP(sha256.New(), rand.Reader, &rsaKey.PublicKey, message, nil))
	asn1 := must(sm2.EncryptASN1(rand.Reader, &sm2Key.PublicKey, message))
	for _, a := range []bare{
		{name: "RSA-2048-OAEP", spec: vault.RSA2048, decrypt: vault.RSAESOAEPSHA256,
			run: func() error { _, err := rsa.DecryptOAEP(sha256.New(), nil, rsaKey, oaep, nil); return err }},
		{name: "SM2", spec: vault.SM2, decrypt: vault.SM2C1C3C2,
			run: func() error { _, err := sm2Key.Decrypt(nil, asn1, sm2.ASN1DecrypterOpts); return err }},
	} {
		k := must(s.client.CreateKey(b.Context(), vault.KeyOptions{Spec: a.spec, Usage: vault.AsymmetricDecrypt}))
		ct := encryptTo(must(must(s.client.PublicKey(b.Context(), k.ID)).Parse()), message)
		b.Run(a.name, func(b *testing.B) {
			atEach(b, Ratio{Durable: p.durably(a.run), Raw: a.run, Op: func() error {
				_, err := s.client.AsymmetricDecrypt(b.Context(), k.ID, ct, a.decrypt)
				return err
			}})
		})
	}
}

// encryptTo encrypts to a public key without the vault.
func encryptTo(public crypto.PublicKey, message []byte) []byte {
	if k, ok := public.(*rsa.PublicKey); ok {
		return must(rsa.EncryptOAEP(sha256.New(), rand.Reader, k, message, nil))
	}
	return must(sm2.EncryptASN1(rand.Reader, public.(*ecdsa.PublicKey), message))
}
