package vault

import "testing"

// TestOpenSSLDecrypts makes a private key with openssl and imports it. The vault and
// openssl decrypt the same ciphertexts, made by either.
func TestOpenSSLDecrypts(t *testing.T) {
	v, _ := newTestVault(t, testConfig())
	c := v.As(DefaultOwner)
	const decrypt = "pkeyutl -decrypt -inkey private.pem -in encrypted -out decrypted"
	const encrypt = "pkeyutl -encrypt -inkey private.pem -in message -out encrypted"
	for name, row := range map[string]struct {
		spec       KeySpec
		alg        EncryptionAlgorithm
		make, opts string
	}{
		"PKCS #1 v1.5": {RSA2048, RSAESPKCS1V15, "RSA -pkeyopt rsa_keygen_bits:2048", " -pkeyopt rsa_padding_mode:pkcs1"},
		"OAEP SHA-1":   {RSA2048, RSAESOAEPSHA1, "RSA -pkeyopt rsa_keygen_bits:2048", " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1"},
		"OAEP SHA-256": {RSA4096, RSAESOAEPSHA256, "RSA -pkeyopt rsa_keygen_bits:4096", " -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha256"},
		"SM2":          {SM2, SM2C1C3C2, "EC -pkeyopt ec_paramgen_curve:SM2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			needs(t, row.spec)
			needs(t, row.alg)
			w := newOpensslBench(t)
			w.Run("genpkey -out private.pem -algorithm " + row.make)
			w.Run("pkcs8 -topk8 -nocrypt -in private.pem -outform DER -out private.der")
			k := mustKey(t, c, KeyOptions{Spec: row.spec, Usage: AsymmetricDecrypt, Origin: OriginExternal})
			mustImport(t, c, k.ID, newImportFixture(t, c, k, w.Read("private.der")).material())

			w.Write("message", []byte("test\n"))
			w.Run(encrypt + row.opts)
			got, err := c.AsymmetricDecrypt(t.Context(), k.ID, w.Read("encrypted"), row.alg)
			if err != nil || string(got) != "test\n" {
				t.Errorf("AsymmetricDecrypt of a ciphertext that openssl made: %q, error %v", got, err)
			}
			ct := encryptTo(t, c, k.ID, []byte("test\n"))
			if row.spec != SM2 {
				ct = encryptRSA(t, publicRSA(t, c, k.ID), row.alg, []byte("test\n"))
			}
			w.Write("encrypted", ct)
			w.Run(decrypt + row.opts)
			if got := w.Read("decrypted"); string(got) != "test\n" {
				t.Errorf("openssl decrypts to %q", got)
			}
		})
	}
}
