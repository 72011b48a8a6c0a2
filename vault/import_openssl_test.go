package vault

import (
	"bytes"
	"crypto/fips140"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"testing"

	"strongroom.example/internal/testing/openssltest"
	"strongroom.example/vault/internal/editionrules"
)

// externalOwner is an owner of material who uses only openssl.
type externalOwner struct{ openssltest.Bench }

func newExternalOwner(t *testing.T) externalOwner {
	t.Helper()
	return externalOwner{openssltest.New(t)}
}

// opensslOptions are the options of pkeyutl for each algorithm.
var opensslOptions = map[WrappingAlgorithm][]string{
	WrapRSAESPKCS1V15:   {"rsa_padding_mode:pkcs1"},
	WrapRSAESOAEPSHA1:   {"rsa_padding_mode:oaep", "rsa_oaep_md:sha1"},
	WrapRSAESOAEPSHA256: {"rsa_padding_mode:oaep", "rsa_oaep_md:sha256"},
	WrapRSAAESSHA1:      {"rsa_padding_mode:oaep", "rsa_oaep_md:sha1"},
	WrapRSAAESSHA256:    {"rsa_padding_mode:oaep", "rsa_oaep_md:sha256"},
	WrapSM2:             nil,
}

// wrap encrypts a file for the public key with pkeyutl.
func (o externalOwner) wrap(file string, p ImportParameters) []byte {
	o.Helper()
	text := base64.StdEncoding.EncodeToString(p.PublicKey.DER)
	o.Write("public_key.base64", []byte(text))
	o.Exec("enc", "-d", "-base64", "-A", "-in", "public_key.base64", "-out", "public_key.bin")
	args := []string{"pkeyutl", "-in", file, "-out", "encrypted_key_material.bin", "-inkey", "public_key.bin", "-keyform", "DER", "-pubin", "-encrypt"}
	for _, option := range opensslOptions[p.Algorithm] {
		args = append(args, "-pkeyopt", option)
	}
	o.Exec(args...)
	o.Exec("enc", "-e", "-base64", "-A", "-in", "encrypted_key_material.bin", "-out", "encrypted_key_material.base64")
	wrapped, err := base64.StdEncoding.DecodeString(string(o.Read("encrypted_key_material.base64")))
	if err != nil {
		o.Fatal(err)
	}
	return wrapped
}

// wrapPrivate wraps a file by RSA_AES_KEY_WRAP.
func (o externalOwner) wrapPrivate(file string, p ImportParameters) []byte {
	o.Helper()
	o.Exec("rand", "-out", "aes_key.bin", "32")
	o.Exec("enc", "-e", "-id-aes256-wrap-pad", "-iv", "A65959A6", "-K", hex.EncodeToString(o.Read("aes_key.bin")),
		"-in", file, "-out", "wrapped.bin")
	return append(o.wrap("aes_key.bin", p), o.Read("wrapped.bin")...)
}

// TestImportFromOpenSSL runs the documented commands for three RSA algorithms and SM2, with
// 32 bytes, or 16 in the SM edition. Material with the size of the other edition is
// rejected.
func TestImportFromOpenSSL(t *testing.T) {
	for _, edition := range editions {
		for _, alg := range []WrappingAlgorithm{WrapRSAESPKCS1V15, WrapRSAESOAEPSHA1, WrapRSAESOAEPSHA256, WrapSM2} {
			t.Run(edition.String()+"/"+string(alg), func(t *testing.T) {
				o := newExternalOwner(t)
				v, _ := newTestVault(t, Config{Edition: edition})
				c, ctx := v.As(DefaultOwner), t.Context()
				k := newExternal(t, c)
				p, err := c.ParametersForImport(ctx, k.ID, ImportRequest{Algorithm: alg})
				enforced := fips140.Enforced() && (alg == WrapRSAESOAEPSHA1 || alg == WrapSM2)
				if refused := editionrules.Excluded(edition, alg); refused != nil || enforced {
					if !errors.Is(err, ErrUnsupported) {
						t.Errorf("ParametersForImport: %v, want %v", err, refused)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				size := map[Edition]int{Standard: 32, FIPS: 32, SM: 16}[edition]
				if p.MaterialSize != size {
					t.Errorf("MaterialSize %d, want %d", p.MaterialSize, size)
				}
				o.Exec("rand", "-out", "other_material.bin", strconv.Itoa(48-size))
				refusedImport(t, c, k.ID, ImportMaterial{Token: p.Token, EncryptedMaterial: o.wrap("other_material.bin", p)}, "unwrap")
				o.Exec("rand", "-out", "raw_material.bin", strconv.Itoa(size))
				mustImport(t, c, k.ID, ImportMaterial{Token: p.Token, EncryptedMaterial: o.wrap("raw_material.bin", p)})
				ct, err := c.Encrypt(ctx, k.ID, []byte("x"), nil)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := c.Decrypt(ctx, ct, nil); err != nil || string(got) != "x" {
					t.Errorf("Decrypt: %q, error %v", got, err)
				}
			})
		}
	}
}

// TestMacOfImportedKey: the vault and openssl compute the same MAC with the imported
// material.
func TestMacOfImportedKey(t *testing.T) {
	o := newExternalOwner(t)
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: HMAC256})
	o.Exec("rand", "-out", "raw_material.bin", "32")
	p, err := c.ParametersForImport(t.Context(), k.ID, ImportRequest{})
	if err != nil {
		t.Fatal(err)
	}
	mustImport(t, c, k.ID, ImportMaterial{Token: p.Token, EncryptedMaterial: o.wrap("raw_material.bin", p)})
	o.Write("message", []byte("a message"))
	o.Exec("dgst", "-sha256", "-mac", "HMAC", "-macopt", "hexkey:"+hex.EncodeToString(o.Read("raw_material.bin")), "-binary", "-out", "mac", "message")
	got, err := c.GenerateMac(t.Context(), k.ID, []byte("a message"))
	if err != nil || !bytes.Equal(got, o.Read("mac")) {
		t.Errorf("GenerateMac: %x, error %v, want the MAC of openssl", got, err)
	}
}

// TestPrivateKeysFromOpenSSL: a key that openssl made signs in the vault, and openssl
// verifies the signature with its own public half.
func TestPrivateKeysFromOpenSSL(t *testing.T) {
	for _, row := range []struct {
		spec     KeySpec
		generate []string
	}{
		{RSA2048, []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"}},
		{RSA4096, []string{"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"}},
		{ECCP256, []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}},
		{ECCP384, []string{"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"}},
	} {
		for _, alg := range []WrappingAlgorithm{WrapRSAAESSHA1, WrapRSAAESSHA256} {
			t.Run(string(row.spec)+"/"+string(alg), func(t *testing.T) {
				if alg == WrapRSAAESSHA1 {
					needs(t, WrapRSAESOAEPSHA1)
				}
				o := newExternalOwner(t)
				v, _ := newTestVault(t, testConfig())
				c := v.As(DefaultOwner)
				k := mustKey(t, c, KeyOptions{Origin: OriginExternal, Spec: row.spec, Usage: SignVerify})
				o.Exec(append([]string{"genpkey", "-out", "private.pem"}, row.generate...)...)
				o.Exec("pkcs8", "-topk8", "-nocrypt", "-in", "private.pem", "-outform", "DER", "-out", "private.der")
				o.Exec("pkey", "-in", "private.pem", "-pubout", "-out", "public.pem")
				p, err := c.ParametersForImport(t.Context(), k.ID, ImportRequest{Algorithm: alg})
				if err != nil {
					t.Fatal(err)
				}
				mustImport(t, c, k.ID, ImportMaterial{Token: p.Token, EncryptedMaterial: o.wrapPrivate("private.der", p)})
				o.verify(c, k)
			})
		}
	}
}

// verify makes a signature in the vault and verifies it with openssl.
func (o externalOwner) verify(c Client, k Key) {
	o.Helper()
	options, digest := SignOptions{}, "-sha256"
	switch k.Spec {
	case RSA2048, RSA4096:
		options.Algorithm = RSAPKCS1SHA256
	case ECCP384:
		digest = "-sha384"
	}
	signature, err := c.Sign(o.T.Context(), k.ID, []byte("a message"), options)
	if err != nil {
		o.Fatal(err)
	}
	for name, b := range map[string][]byte{"message": []byte("a message"), "signature": signature} {
		o.Write(name, b)
	}
	o.Exec("dgst", "-verify", "public.pem", digest, "-signature", "signature", "message")
}
