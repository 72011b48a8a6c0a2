package unwrap_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"testing"

	"strongroom.example/driver"
	"strongroom.example/internal/testing/openssltest"
	"strongroom.example/internal/unwrap"
)

// A workbench is the tool with which a sender wraps material: openssl.
type workbench struct{ openssltest.Bench }

func newWorkbench(t *testing.T) workbench {
	t.Helper()
	return workbench{openssltest.New(t)}
}

// getPublicKey decodes the public key that the sender received in base 64.
func (w workbench) getPublicKey(key wrappingKey) {
	w.Helper()
	w.Write("public_key.base64", []byte(base64.StdEncoding.EncodeToString(key.public)))
	w.Exec("enc", "-d", "-base64", "-A", "-in", "public_key.base64", "-out", "public_key.bin")
}

// encrypt runs pkeyutl with the public key, and returns the result in base 64, as it is
// sent.
func (w workbench) encrypt(in string, options ...string) []byte {
	w.Helper()
	args := []string{"pkeyutl", "-in", in, "-out", "encrypted_key_material.bin",
		"-inkey", "public_key.bin", "-keyform", "DER", "-pubin", "-encrypt"}
	for _, o := range options {
		args = append(args, "-pkeyopt", o)
	}
	w.Exec(args...)
	w.Exec("enc", "-e", "-base64", "-A", "-in", "encrypted_key_material.bin", "-out", "encrypted_key_material.base64")
	ciphertext, err := base64.StdEncoding.DecodeString(string(w.Read("encrypted_key_material.base64")))
	if err != nil {
		w.Fatal(err)
	}
	return ciphertext
}

// padding holds the pkeyutl options of an algorithm.
var padding = map[driver.WrapAlg][]string{
	unwrap.RSAPKCS1:          {"rsa_padding_mode:pkcs1"},
	driver.WrapRSAOAEPSHA1:   {"rsa_padding_mode:oaep", "rsa_oaep_md:sha1"},
	driver.WrapRSAOAEPSHA256: {"rsa_padding_mode:oaep", "rsa_oaep_md:sha256"},
	driver.WrapSM2:           nil,
	unwrap.RSAAESKWPSHA1:     {"rsa_padding_mode:oaep", "rsa_oaep_md:sha1"},
	unwrap.RSAAESKWPSHA256:   {"rsa_padding_mode:oaep", "rsa_oaep_md:sha256"},
}

// TestOpenSSLRecipes imports a symmetric key wrapped by openssl: by three algorithms of
// RSA, and by SM2, with 128 and 256 bits.
func TestOpenSSLRecipes(t *testing.T) {
	for _, alg := range []driver.WrapAlg{unwrap.RSAPKCS1, driver.WrapRSAOAEPSHA1, driver.WrapRSAOAEPSHA256, driver.WrapSM2} {
		for _, n := range []int{16, 32} {
			t.Run(string(alg)+"/"+strconv.Itoa(n), func(t *testing.T) {
				skipRefused(t, alg)
				w, key := newWorkbench(t), newKey(t, alg)
				w.getPublicKey(key)
				w.Exec("rand", "-out", "raw_material.bin", strconv.Itoa(n))
				ciphertext := w.encrypt("raw_material.bin", padding[alg]...)
				got, err := key.unwrap(nil, alg, ciphertext)
				if err != nil || len(got) != n || !bytes.Equal(got, w.Read("raw_material.bin")) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
	}
}

// TestOpenSSLPrivateKeys imports private keys in PKCS #8, wrapped by openssl with
// RSA_AES_KEY_WRAP.
func TestOpenSSLPrivateKeys(t *testing.T) {
	for name, generate := range map[string][]string{
		"RSA-2048": {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
		"RSA-4096": {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"},
		"P-256":    {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"},
		"P-521":    {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"},
		"Ed25519":  {"-algorithm", "ED25519"},
	} {
		for _, alg := range []driver.WrapAlg{unwrap.RSAAESKWPSHA1, unwrap.RSAAESKWPSHA256} {
			t.Run(name+"/"+string(alg), func(t *testing.T) {
				skipRefused(t, alg)
				w, key := newWorkbench(t), newKey(t, alg)
				w.getPublicKey(key)
				w.Exec(append([]string{"genpkey", "-out", "private.pem"}, generate...)...)
				w.Exec("pkcs8", "-topk8", "-nocrypt", "-in", "private.pem", "-outform", "DER", "-out", "private.der")
				w.Exec("rand", "-out", "aes_key.bin", "32")
				w.Exec("enc", "-e", "-id-aes256-wrap-pad", "-iv", "A65959A6",
					"-K", hex.EncodeToString(w.Read("aes_key.bin")), "-in", "private.der", "-out", "wrapped.bin")
				ciphertext := append(w.encrypt("aes_key.bin", padding[alg]...), w.Read("wrapped.bin")...)
				got, err := key.unwrap(make([]byte, 0, unwrap.MaxMaterial), alg, ciphertext)
				if err != nil || !bytes.Equal(got, w.Read("private.der")) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
	}
}
