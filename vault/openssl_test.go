package vault

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"strings"
	"testing"

	"strongroom.example/internal/testing/openssltest"
	"strongroom.example/vault/internal/publickey"
)

// A opensslBench runs openssl for a test with a vault.
type opensslBench struct{ openssltest.Bench }

func newOpensslBench(t *testing.T) opensslBench {
	t.Helper()
	return opensslBench{openssltest.New(t)}
}

// publish makes a CMK and writes its public key to public.pem.
func (w opensslBench) publish(c Client, spec KeySpec, usage KeyUsage) Key {
	w.Helper()
	k := mustKey(w.T, c, KeyOptions{Spec: spec, Usage: usage})
	p, err := c.PublicKey(w.Context(), k.ID)
	if err != nil {
		w.Fatal(err)
	}
	w.Write("public.pem", p.PEM())
	return k
}

// TestOpenSSLVerifies verifies the vault's signatures with openssl.
func TestOpenSSLVerifies(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	const pss = " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1"
	const distid = " -pubin -inkey public.pem -rawin -digest sm3 -in message -sigfile signature -pkeyopt distid:"
	for name, row := range map[string]struct {
		spec KeySpec
		o    SignOptions
		line string
	}{
		"PSS":             {RSA2048, SignOptions{Algorithm: RSAPSSSHA256}, "dgst -sha256 -verify public.pem -signature signature" + pss + " message"},
		"PSS SHA-384":     {RSA2048, SignOptions{Algorithm: RSAPSSSHA384}, "dgst -sha384 -verify public.pem -signature signature" + pss + " message"},
		"PSS SHA-512":     {RSA2048, SignOptions{Algorithm: RSAPSSSHA512}, "dgst -sha512 -verify public.pem -signature signature" + pss + " message"},
		"PKCS #1 SHA-256": {RSA2048, SignOptions{Algorithm: RSAPKCS1SHA256}, "dgst -sha256 -verify public.pem -signature signature message"},
		"PKCS #1 SHA-384": {RSA3072, SignOptions{Algorithm: RSAPKCS1SHA384}, "dgst -sha384 -verify public.pem -signature signature message"},
		"PKCS #1 SHA-512": {RSA2048, SignOptions{Algorithm: RSAPKCS1SHA512}, "dgst -sha512 -verify public.pem -signature signature message"},
		"P-256":           {ECCP256, SignOptions{}, "dgst -sha256 -verify public.pem -signature signature message"},
		"P-384":           {ECCP384, SignOptions{}, "dgst -sha384 -verify public.pem -signature signature message"},
		"P-521":           {ECCP521, SignOptions{}, "dgst -sha512 -verify public.pem -signature signature message"},
		"Ed25519":         {Ed25519, SignOptions{}, "pkeyutl -verify -pubin -inkey public.pem -rawin -in message -sigfile signature"},
		"SM2":             {SM2, SignOptions{}, "pkeyutl -verify" + distid + SM2DefaultID},
		"SM2 of Alice":    {SM2, SignOptions{SM2ID: []byte("alice@example")}, "pkeyutl -verify" + distid + "alice@example"},
		"SM2 by dgst":     {SM2, SignOptions{}, "dgst -sm3 -sigopt distid:" + SM2DefaultID + " -verify public.pem -signature signature message"},
	} {
		t.Run(name, func(t *testing.T) {
			needs(t, row.spec)
			w := newOpensslBench(t)
			k := w.publish(c, row.spec, SignVerify)
			message := []byte("the message\n")
			w.Write("message", message)
			for _, kind := range []MessageType{Raw, Digest} {
				o, input := row.o, message
				if kind == Digest {
					if input = digestOf(t, c, k.ID, o, message); input == nil {
						continue
					}
					o.MessageType, o.SM2ID = Digest, nil
				}
				signature, err := c.Sign(t.Context(), k.ID, input, o)
				if err != nil {
					t.Fatal(err)
				}
				w.Write("signature", signature)
				if out := w.Run(row.line); !strings.Contains(out, "Verified OK") && !strings.Contains(out, "Signature Verified Successfully") {
					t.Errorf("openssl does not verify the signature, %s: %s", kind, out)
				}
			}
		})
	}
}

// digestOf returns the digest of a message for message type Digest; nil for Ed25519.
func digestOf(t *testing.T, c Client, key string, o SignOptions, message []byte) []byte {
	t.Helper()
	p, err := c.PublicKey(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	row, err := chooseSign(p.Spec, o.Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case row.alg == EdDSA:
		return nil
	case row.device.DigestSize() == sha512.Size384:
		sum := sha512.Sum384(message)
		return sum[:]
	case row.device.DigestSize() == sha512.Size:
		sum := sha512.Sum512(message)
		return sum[:]
	case row.alg != SM2DSA:
		sum := sha256.Sum256(message)
		return sum[:]
	}
	digest, err := publickey.Digest(row.device, message, p.DER, o.SM2ID)
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// TestOpenSSLEncrypts encrypts with openssl to the vault's public keys.
func TestOpenSSLEncrypts(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	const encrypt = "pkeyutl -encrypt -pubin -inkey public.pem -in message -out encrypted"
	for name, row := range map[string]struct {
		spec KeySpec
		alg  EncryptionAlgorithm
		opts string
	}{
		"PKCS #1 v1.5": {RSA2048, RSAESPKCS1V15, " -pkeyopt rsa_padding_mode:pkcs1"},
		"OAEP SHA-1":   {RSA2048, RSAESOAEPSHA1, " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1"},
		"OAEP SHA-256": {RSA3072, RSAESOAEPSHA256, " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256"},
		"SM2":          {SM2, SM2C1C3C2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			needs(t, string(row.spec), string(row.alg))
			w := newOpensslBench(t)
			k := w.publish(c, row.spec, AsymmetricDecrypt)
			message := []byte("test\n")
			w.Write("message", message)
			w.Run(encrypt + row.opts)
			got, err := c.AsymmetricDecrypt(t.Context(), k.ID, w.Read("encrypted"), row.alg)
			if err != nil || !bytes.Equal(got, message) {
				t.Errorf("AsymmetricDecrypt: %q, error %v", got, err)
			}
		})
	}
}
